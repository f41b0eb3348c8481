package container

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"slipway.dev/slipway/internal/git/contents"
	"slipway.dev/slipway/internal/hint"
)

// List returns the repositories of the git server at host, such as localhost:9418.
func List(ctx context.Context, host string) (*contents.Listing, error) {
	var listing contents.Listing
	if err := ask(ctx, "http://"+host+contents.Path, &listing); err != nil {
		return nil, fmt.Errorf("listing the repositories of %s: %w", host, err)
	}
	return &listing, nil
}

// Log returns the newest commits of a repository, at most limit (0: contents.DefaultLimit), beginning at a branch, a tag or
// a commit ("": its HEAD).
func Log(ctx context.Context, host, repository, ref string, limit int) ([]contents.Commit, error) {
	query := url.Values{contents.QueryRepository: {repository}}
	if ref != "" {
		query.Set(contents.QueryRef, ref)
	}
	if limit != 0 {
		query.Set(contents.QueryLimit, strconv.Itoa(limit))
	}
	var commits []contents.Commit
	if err := ask(ctx, "http://"+host+contents.LogPath+"?"+query.Encode(), &commits); err != nil {
		return nil, fmt.Errorf("listing the commits of %s: %w", repository, err)
	}
	return commits, nil
}

func ask(ctx context.Context, address string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return hint.With(err, "is the git server running? `slipway status` says, and `slipway up` repairs it")
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("%s", strings.TrimSpace(string(said)))
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
