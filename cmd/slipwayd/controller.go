package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clientcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	cartov1alpha1 "slipway.dev/slipway/api/carto/v1alpha1"
	conventionsv1alpha1 "slipway.dev/slipway/api/conventions/v1alpha1"
	slipwayv1alpha1 "slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/identity"
	"slipway.dev/slipway/internal/ingress"
	"slipway.dev/slipway/internal/ownwrites"
	"slipway.dev/slipway/internal/stages/build"
	"slipway.dev/slipway/internal/stages/convention"
	"slipway.dev/slipway/internal/stages/gitcommit"
	"slipway.dev/slipway/internal/stages/image"
	"slipway.dev/slipway/internal/stages/release"
	"slipway.dev/slipway/internal/stages/source"
	"slipway.dev/slipway/internal/stages/testrun"
	"slipway.dev/slipway/internal/supplychain/controller"
	"slipway.dev/slipway/internal/version"
	"slipway.dev/slipway/registry/events"
)

const (
	leaseName = "slipway-controller"
	// A leader that is told to end gives the lease back, and the next one looks every retryPeriod. The others
	// matter only after a crash: they are how long nobody reconciles. Nobody takes the lease over while its holder
	// still believes in it, since renewEvery, one retryPeriod until that is seen, and renewDeadline are together less
	// than leaseDuration.
	leaseDuration = 15 * time.Second
	renewDeadline = 7 * time.Second
	retryPeriod   = 2 * time.Second
	renewEvery    = 5 * time.Second
	// endGrace bounds what a terminated pod still does; a rollout waits for it.
	endGrace = 2 * time.Second
)

type controllerOptions struct {
	registryAliases map[string]string
	registryEvents  string
	gitServer       string
	gitPublished    string
	pollInterval    time.Duration
	healthAddr      string
	metricsAddr     string
	pprofAddr       string
	ingressAddr     string
	ingressTLSAddr  string
	webhookAddr     string
	webhookSecret   string
	webhookAccount  string
	certDir         string
	leaderElect     bool
	namespace       string
	maxConcurrent   int
	image           string
	logLevel        string
	// How many of each kind; 0: as maxConcurrent says.
	maxConcurrentWorkloads, maxConcurrentDeliverables, maxConcurrentRunnables int
	hideSecrets                                                               bool
}

func newControllerCommand(run func(context.Context, *cobra.Command, controllerOptions) error) *cobra.Command {
	var options controllerOptions
	command := &cobra.Command{
		Use:   "controller",
		Short: "Run the controllers and the ingress proxy",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return run(command.Context(), command, options)
		},
	}
	flags := command.Flags()
	flags.StringToStringVar(&options.registryAliases, "registry-alias", nil, "HOST=CLUSTERHOST: ask the registry CLUSTERHOST, over plain http, for images of HOST (repeatable)")
	flags.StringVar(&options.registryEvents, "registry-events", "", "URL of the registry's stream of push events (empty: poll)")
	flags.StringVar(&options.gitServer, "git-server", "", "host and port of the environment's git server, in the cluster (empty: there is none)")
	flags.StringVar(&options.gitPublished, "git-published", "", "host and port under which that git server is known outside of the cluster")
	flags.DurationVar(&options.pollInterval, "poll-interval", image.DefaultPollInterval, "how often registries without such a stream are asked")
	flags.StringVar(&options.healthAddr, "health-addr", ":8081", "where /healthz and /readyz are served (empty: off)")
	flags.StringVar(&options.metricsAddr, "metrics-addr", ":8082", "where /metrics is served (empty: off)")
	flags.StringVar(&options.pprofAddr, "pprof-addr", "", "where Go's profiles are served under /debug/pprof (empty: off)")
	flags.StringVar(&options.ingressAddr, "ingress-addr", ":8080", "where the apps are served over http (empty: off)")
	flags.StringVar(&options.ingressTLSAddr, "ingress-tls-addr", ":8443", "where the apps are served over https (empty: off)")
	addWebhookFlags(flags, &options)
	flags.BoolVar(&options.leaderElect, "leader-elect", true, "let only one replica reconcile")
	flags.StringVar(&options.namespace, "namespace", defaultNamespace(), "the namespace of the lease; the environment variable POD_NAMESPACE sets the default")
	flags.IntVar(&options.maxConcurrent, "max-concurrent", 0, "how many objects of a kind are reconciled at the same time (0: the kind's own default)")
	flags.IntVar(&options.maxConcurrentWorkloads, "max-concurrent-workloads", 0, "how many workloads are reconciled at the same time (0: as --max-concurrent says)")
	flags.IntVar(&options.maxConcurrentDeliverables, "max-concurrent-deliveries", 0, "how many deliverables are reconciled at the same time (0: as --max-concurrent says)")
	flags.IntVar(&options.maxConcurrentRunnables, "max-concurrent-runnables", 0, "how many runnables are reconciled at the same time (0: as --max-concurrent says)")
	flags.BoolVar(&options.hideSecrets, "hide-secrets", false, "show nothing of outputs that templates read from Secrets in the status of workloads and deliverables, but their digests")
	flags.StringVar(&options.image, "image", "", "the image of slipwayd itself, by digest, for pods that fetch sources (default: no test runs)")
	flags.StringVar(&options.logLevel, "log-level", "info", "debug, info, warn or error")
	return command
}

func defaultNamespace() string {
	if namespace := os.Getenv("POD_NAMESPACE"); namespace != "" {
		return namespace
	}
	return environment.Namespace
}

func runController(ctx context.Context, command *cobra.Command, options controllerOptions) error {
	logger, err := newLogger(command.ErrOrStderr(), options.logLevel)
	if err != nil {
		return err
	}
	captureKubernetesLogs(logger)
	if err := removeLeftovers(os.TempDir()); err != nil {
		logger.Warn("the scratch folder holds what is of no use", "error", err)
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the cluster: %w", err)
	}
	if err := waitForAPIServer(ctx, config, logger); err != nil {
		return err
	}
	mgr, err := newManager(config, options)
	if err != nil {
		return err
	}
	if err := setup(ctx, mgr, options, logger); err != nil {
		return err
	}
	logger.Info("controller is starting", "version", version.Version(), "registryAliases", options.registryAliases, "registryEvents", options.registryEvents)
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("running the controllers: %w", err)
	}
	logger.Info("controller has ended")
	return nil
}

func newManager(config *rest.Config, options controllerOptions) (ctrl.Manager, error) {
	// The API server has priority and fairness of its own; throttling on top only adds waiting.
	config.QPS = -1
	config.UserAgent = "slipwayd/" + version.Version()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, cartov1alpha1.AddToScheme, conventionsv1alpha1.AddToScheme, slipwayv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("registering kinds: %w", err)
		}
	}
	held, err := podLease(config, options.namespace)
	if err != nil {
		return nil, err
	}
	lease, renew, retry, grace := leaseDuration, renewDeadline, retryPeriod, endGrace
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                              scheme,
		HealthProbeBindAddress:              orOff(options.healthAddr),
		PprofBindAddress:                    options.pprofAddr,
		Metrics:                             metricsserver.Options{BindAddress: orOff(options.metricsAddr)},
		LeaderElection:                      options.leaderElect,
		LeaderElectionID:                    leaseName,
		LeaderElectionNamespace:             options.namespace,
		LeaderElectionResourceLockInterface: held,
		LeaderElectionReleaseOnCancel:       true, // safe: main returns as soon as the manager has ended
		LeaseDuration:                       &lease,
		RenewDeadline:                       &renew,
		RetryPeriod:                         &retry,
		GracefulShutdownTimeout:             &grace,
		// Nobody here reads managedFields, and they are half of many objects.
		Cache: cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		// Read one by one when needed: a cache would hold every secret of the cluster in memory.
		Client:    client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		NewClient: ownwrites.New,
	})
	if err != nil {
		return nil, fmt.Errorf("making the controller manager: %w", err)
	}
	return mgr, nil
}

// orOff is controller-runtime's way to write that an address is not served.
func orOff(address string) string {
	if address == "" {
		return "0"
	}
	return address
}

// gitAliases maps the git server's name outside of the cluster to the one inside.
func (o controllerOptions) gitAliases() map[string]string {
	if o.gitServer == "" || o.gitPublished == "" {
		return nil
	}
	return map[string]string{o.gitPublished: o.gitServer}
}

// gitEvents is where the environment's git server tells of pushes.
func (o controllerOptions) gitEvents() string {
	if o.gitServer == "" {
		return ""
	}
	return "http://" + o.gitServer + events.Path
}

// setup adds everything that the pod runs.
func setup(ctx context.Context, mgr ctrl.Manager, options controllerOptions, logger *slog.Logger) error {
	if err := controller.Setup(mgr, controller.Options{
		MaxConcurrentWorkloads:    cmp.Or(options.maxConcurrentWorkloads, options.maxConcurrent),
		MaxConcurrentDeliverables: cmp.Or(options.maxConcurrentDeliverables, options.maxConcurrent),
		MaxConcurrentRunnables:    cmp.Or(options.maxConcurrentRunnables, options.maxConcurrent),
		HideSecrets:               options.hideSecrets,
		Metrics:                   metrics.Registry,
		Logger:                    logger,
	}); err != nil {
		return fmt.Errorf("setting up the choreographer: %w", err)
	}
	core, err := clientcorev1.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("preparing to act as service accounts: %w", err)
	}
	identities := identity.NewPool(mgr.GetConfig(), core)
	secrets := identity.Secrets{Pool: identities, Accounts: mgr.GetAPIReader()}
	if err := image.Setup(ctx, mgr, image.Options{
		Secrets:       secrets,
		Aliases:       options.registryAliases,
		EventsURL:     options.registryEvents,
		PollInterval:  options.pollInterval,
		Logger:        logger,
		MaxConcurrent: options.maxConcurrent,
	}); err != nil {
		return fmt.Errorf("setting up the image stage: %w", err)
	}
	if err := convention.Setup(mgr, convention.Options{
		Aliases:       options.registryAliases,
		Secrets:       secrets,
		MaxConcurrent: options.maxConcurrent,
		Logger:        logger,
	}); err != nil {
		return fmt.Errorf("setting up the convention stage: %w", err)
	}
	if registry := source.Stored(options.registryAliases); registry != "" {
		if err := source.Setup(ctx, mgr, source.Options{
			Aliases: options.registryAliases, Registry: registry, Secrets: secrets, MaxConcurrent: options.maxConcurrent, Logger: logger,
			GitAliases: options.gitAliases(), EventsURL: options.registryEvents, GitEventsURL: options.gitEvents(),
		}); err != nil {
			return fmt.Errorf("setting up the source stage: %w", err)
		}
	}
	if err := build.Setup(mgr, build.Options{Aliases: options.registryAliases, Secrets: secrets, MaxConcurrent: options.maxConcurrent, Logger: logger}); err != nil {
		return fmt.Errorf("setting up the build stage: %w", err)
	}
	if err := gitcommit.Setup(ctx, mgr, gitcommit.Options{
		Secrets:         secrets,
		GitAliases:      options.gitAliases(),
		RegistryAliases: options.registryAliases,
		MaxConcurrent:   options.maxConcurrent,
		Logger:          logger,
	}); err != nil {
		return fmt.Errorf("setting up the git commit stage: %w", err)
	}
	if err := release.Setup(ctx, mgr, release.Options{Identities: identities, MaxConcurrent: options.maxConcurrent, Logger: logger}); err != nil {
		return fmt.Errorf("setting up the release stage: %w", err)
	}
	if options.image != "" {
		if err := testrun.Setup(ctx, mgr, testrun.Options{Image: options.image, Identities: identities, MaxConcurrent: options.maxConcurrent, Logger: logger}); err != nil {
			return fmt.Errorf("setting up the test run stage: %w", err)
		}
	}
	if err := ingress.Setup(mgr, ingress.Options{HTTPAddr: options.ingressAddr, HTTPSAddr: options.ingressTLSAddr, Logger: logger}); err != nil {
		return fmt.Errorf("setting up the ingress proxy: %w", err)
	}
	checks, err := setupWebhooks(mgr, options, secrets, logger)
	if err != nil {
		return err
	}
	return setupProbes(mgr, checks)
}

// setupProbes makes /healthz say that the process lives and /readyz that its caches are filled. Ready does not
// wait for the lease: in a rollout the old pod gives it up only after the new one is ready. more are further checks
// of readiness, by name.
func setupProbes(mgr ctrl.Manager, more map[string]healthz.Checker) error {
	filled := make(chan struct{})
	if err := mgr.Add(everyReplica(func(ctx context.Context) error {
		close(filled) // the manager starts this after its caches
		<-ctx.Done()
		return nil
	})); err != nil {
		return fmt.Errorf("setting up the probes: %w", err)
	}
	ready := func(*http.Request) error {
		select {
		case <-filled:
			return nil
		default:
			return errors.New("the caches are still being filled")
		}
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("setting up the probes: %w", err)
	}
	if err := mgr.AddReadyzCheck("caches", ready); err != nil {
		return fmt.Errorf("setting up the probes: %w", err)
	}
	for name, check := range more {
		if err := mgr.AddReadyzCheck(name, check); err != nil {
			return fmt.Errorf("setting up the probes: %w", err)
		}
	}
	return nil
}

// everyReplica is a part of the manager that does not wait for the lease.
type everyReplica func(context.Context) error

var _ manager.LeaderElectionRunnable = everyReplica(nil)

// Start runs until ctx ends.
func (f everyReplica) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection is false.
func (everyReplica) NeedLeaderElection() bool { return false }
