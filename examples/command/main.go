// Program notes shows the texts that lie beside it.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

func main() {
	folder := "texts"
	if len(os.Args) > 1 {
		folder = os.Args[1]
	}
	server := &http.Server{Addr: ":8080", Handler: notes(folder), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// notes answers with all texts of a folder, in the order of their names.
func notes(folder string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		names, err := filepath.Glob(filepath.Join(folder, "*.txt"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				log.Print(err)
				continue
			}
			fmt.Fprintf(w, "%s: %s", filepath.Base(name), text)
		}
	})
}
