// Package gitcommit is the stage that writes what a supply chain delivers to where a delivery takes it from: it reconciles
// GitCommits of slipway.dev, each of which commits files to a branch of a git repository, or pushes them to a registry as
// an artifact. What is in the files is not looked at; who applies them, and that a person may edit the branch meanwhile,
// is others' business: it commits again only when the files that it is given change.
package gitcommit

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	gitclient "slipway.dev/slipway/internal/git/client"
	"slipway.dev/slipway/internal/pull"
	"slipway.dev/slipway/internal/version"
)

const (
	// defaultConcurrency is more than there are CPUs, since the work is waiting for servers.
	defaultConcurrency = 8
	// limit bounds one attempt, with all that others commit first.
	limit = 2 * time.Minute
	// againAfter is how soon to try again after a failure.
	againAfter = 5 * time.Second
	// largeAgain is the same after a branch was too large, which is fetched for nothing each time.
	largeAgain = time.Hour
)

// Options says how GitCommits are done. Secrets must be set.
type Options struct {
	// Secrets reads credentials as the accounts of their namespaces.
	Secrets pull.Secrets
	// GitAliases maps a git server's host and port as users write it to the one to connect to in the cluster.
	GitAliases map[string]string
	// RegistryAliases does the same for registries, which are asked over plain HTTP.
	RegistryAliases map[string]string
	// MaxConcurrent is how many GitCommits are done at the same time; 0 means 8. Those to one branch are done one by one.
	MaxConcurrent int
	// Logger gets a line per change; nil discards.
	Logger *slog.Logger
}

// Setup adds the stage to mgr, which runs it. It needs v1alpha1.AddToScheme on mgr's scheme.
func Setup(_ context.Context, mgr ctrl.Manager, options Options) error {
	if options.MaxConcurrent == 0 {
		options.MaxConcurrent = defaultConcurrency
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("gitcommit").
		// Every change is looked at, that of a status too: it is how a status written from a cache that lagged
		// behind is seen and put right.
		For(&v1alpha1.GitCommit{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: options.MaxConcurrent}).
		Complete(newReconciler(mgr.GetClient(), mgr.GetAPIReader(), options))
}

func newReconciler(cluster client.Client, accounts client.Reader, options Options) *reconciler {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &reconciler{
		client:      cluster,
		direct:      accounts,
		secrets:     options.Secrets,
		credentials: pull.Credentials{Accounts: accounts, Secrets: options.Secrets},
		aliases:     options.RegistryAliases,
		registries:  transport.NewUserAgent(pull.NewTransport(options.RegistryAliases), "slipway/"+version.Version()),
		git:         &http.Client{Transport: gitclient.NewTransport(options.GitAliases)},
		branches:    queues{held: map[string]chan struct{}{}},
		log:         options.Logger,
		now:         time.Now,
	}
}

// queues let one at a time at each branch: against one another we would only make each other's commits anew.
type queues struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

// enter waits for its turn, until ctx ends; leave is to be called after.
func (q *queues) enter(ctx context.Context, key string) (leave func(), err error) {
	for {
		q.mu.Lock()
		busy, taken := q.held[key]
		if !taken {
			mine := make(chan struct{})
			q.held[key] = mine
			q.mu.Unlock()
			return func() {
				q.mu.Lock()
				delete(q.held, key)
				q.mu.Unlock()
				close(mine)
			}, nil
		}
		q.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
