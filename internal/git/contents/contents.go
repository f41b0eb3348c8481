// Package contents is how the git server says what it holds: where to ask, and what comes back. It moves no objects;
// git's own protocol does.
package contents

import "time"

const (
	// Path is where the server lists its repositories.
	Path = "/slipway/v1/repositories"
	// LogPath is where it lists the commits of a branch; see the Query constants.
	LogPath = "/slipway/v1/log"
	// QueryRepository is the name of a repository, without .git. It must be given.
	QueryRepository = "repository"
	// QueryRef is a branch, a tag or a commit; "" means what HEAD points to.
	QueryRef = "ref"
	// QueryLimit is how many commits are wanted; "" means DefaultLimit.
	QueryLimit = "limit"
	// DefaultLimit is how many commits a log has when no limit is asked for.
	DefaultLimit = 20
)

// Listing is what a server holds.
type Listing struct {
	Repositories []Repository `json:"repositories"`
}

// Repository is one of the server's.
type Repository struct {
	Name string `json:"name"` // such as slipway/config, without .git
	// Head is the branch that a clone checks out. It may not exist yet.
	Head     string   `json:"head"`
	Branches []Branch `json:"branches"`
}

// Branch is where a branch is.
type Branch struct {
	Name   string `json:"name"`
	Commit string `json:"commit"`
}

// Commit is a line of a log.
type Commit struct {
	Hash    string    `json:"hash"`
	Author  string    `json:"author"` // Name <email>
	Time    time.Time `json:"time"`
	Message string    `json:"message"`
	// Files are the paths that differ from the first parent's; of a first commit all that it has.
	Files []string `json:"files"`
}
