// Program back answers with the goods of the shop, which are a file beside the program in its image.
package main

import (
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

func main() {
	goods, err := os.ReadFile(filepath.Join(os.Getenv("KO_DATA_PATH"), "goods.json"))
	if err != nil {
		log.Fatal(err)
	}
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(goods)
	})
	server := &http.Server{Addr: ":8080", Handler: answer, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
