package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/registry/contents"
)

// List returns what the registry at host, such as localhost:5000, holds.
func List(ctx context.Context, host string) (*contents.Listing, error) {
	var listing contents.Listing
	if err := ask(ctx, http.MethodGet, "http://"+host+contents.Path, nil, &listing); err != nil {
		return nil, fmt.Errorf("listing what registry %s holds: %w", host, err)
	}
	return &listing, nil
}

// Sweep has the registry at host remove what the request says, and returns when it has.
func Sweep(ctx context.Context, host string, request contents.SweepRequest) (*contents.SweepResult, error) {
	var result contents.SweepResult
	if err := ask(ctx, http.MethodPost, "http://"+host+contents.SweepPath, request, &result); err != nil {
		return nil, fmt.Errorf("sweeping registry %s: %w", host, err)
	}
	return &result, nil
}

// ask exchanges JSON with the registry's own API; a nil content sends none.
func ask(ctx context.Context, method, url string, content, answer any) error {
	var body io.Reader
	if content != nil {
		encoded, err := json.Marshal(content)
		if err != nil {
			return err
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	if content != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return hint.With(err, "is the registry running? `slipway status` says, and `slipway up` repairs it")
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotFound:
		return hint.With(fmt.Errorf("it does not know %s", request.URL.Path), "it is of an older slipway; `slipway up` brings it up to date")
	case response.StatusCode != http.StatusOK:
		said, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("it answered %s: %s", response.Status, strings.TrimSpace(string(said)))
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
