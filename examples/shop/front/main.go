// Program front shows what the shop's other program, back, has to sell.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

const title = "The ship's shop"

func main() {
	server := &http.Server{Addr: ":8080", Handler: shop(os.Getenv("BACK")), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// shop answers with a line for each of the goods that back knows.
func shop(back string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		goods, err := ask(r.Context(), back)
		if err != nil {
			http.Error(w, "back gives no answer: "+err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, title)
		for _, one := range goods {
			fmt.Fprintf(w, "%s: %d\n", one.Name, one.Price)
		}
	})
}

type article struct {
	Name  string `json:"name"`
	Price int    `json:"price"`
}

func ask(ctx context.Context, back string) ([]article, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, back, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var goods []article
	return goods, json.NewDecoder(response.Body).Decode(&goods)
}
