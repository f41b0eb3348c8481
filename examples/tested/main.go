// Program tested is a web app that tells when the tide is high. Its tests are run by the supply chain, before anything is
// built of it.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	server := &http.Server{Addr: ":" + port, Handler: handler(time.Now), ReadHeaderTimeout: 5 * time.Second}
	log.Printf("tested listens on %s", server.Addr)
	log.Fatal(server.ListenAndServe())
}

// handler answers with the time until the next high tide.
func handler(now func() time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "High tide in %s.\n", untilHigh(now()).Round(time.Minute))
	})
}
