// Package ingress gives apps a URL without port forwarding: a small reverse proxy that runs in the controller's
// pod and routes by the Ingress objects of one class to the ClusterIPs of their Services. It is meant for the
// few apps of one developer: it knows hosts, paths and Services, and none of the annotations, TLS secrets
// and load balancing of a real ingress controller.
package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// DefaultClass is the ingressClassName of the Ingresses that are served.
const DefaultClass = "slipway"

// drain is how long requests in flight may go on after the proxy is told to end.
const drain = time.Second

// Options says what the proxy serves and where.
type Options struct {
	// HTTPAddr is where plain HTTP is served, for instance ":8080"; empty turns it off.
	HTTPAddr string
	// HTTPSAddr is where HTTPS is served, with a certificate made at start; empty turns it off.
	HTTPSAddr string
	// Class is the ingressClassName to serve; empty means DefaultClass.
	Class string
	// Logger gets a line per change of the routes; nil discards.
	Logger *slog.Logger
}

// Setup adds the proxy to mgr. Every replica serves; the leader alone writes the status of Ingresses. With
// both addresses empty it adds nothing.
func Setup(mgr ctrl.Manager, options Options) error {
	if options.HTTPAddr == "" && options.HTTPSAddr == "" {
		return nil
	}
	if options.Class == "" {
		options.Class = DefaultClass
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	routes := &atomic.Pointer[Table]{}
	proxy := newProxy(routes, endpoints{reader: mgr.GetAPIReader()}, options.Logger)
	if err := setupRoutes(mgr, routes, options); err != nil {
		return fmt.Errorf("setting up the ingress routes: %w", err)
	}
	if err := mgr.AddReadyzCheck("ingress", func(*http.Request) error {
		if routes.Load() == nil {
			return errors.New("the routes to the apps are not known yet")
		}
		return nil
	}); err != nil {
		return fmt.Errorf("setting up the ingress probe: %w", err)
	}
	if err := setupStatus(mgr, options.Class); err != nil {
		return fmt.Errorf("setting up the ingress status: %w", err)
	}
	if options.HTTPAddr != "" {
		if err := mgr.Add(&listener{addr: options.HTTPAddr, handler: proxy, logger: options.Logger}); err != nil {
			return err
		}
	}
	if options.HTTPSAddr != "" {
		certificate, err := selfSigned(time.Now())
		if err != nil {
			return fmt.Errorf("making the ingress certificate: %w", err)
		}
		if err := mgr.Add(&listener{addr: options.HTTPSAddr, handler: proxy, certificate: &certificate, logger: options.Logger}); err != nil {
			return err
		}
	}
	return nil
}

// setupRoutes rebuilds the whole table on any change: it is small, and so it can never be half right.
func setupRoutes(mgr ctrl.Manager, routes *atomic.Pointer[Table], options Options) error {
	everyReplica := false
	// There is always a first event: every cluster has the Service "kubernetes".
	table := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{}}
	})
	rebuild := reconcile.Func(func(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
		made, err := load(ctx, mgr.GetClient(), options.Class)
		if err != nil {
			return reconcile.Result{}, err
		}
		routes.Store(made)
		options.Logger.Debug("ingress routes", "apps", len(made.Apps()))
		return reconcile.Result{}, nil
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("ingress-routes").
		Watches(&networkingv1.Ingress{}, table, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&corev1.Service{}, table).
		WithOptions(controller.Options{NeedLeaderElection: &everyReplica}).
		Complete(rebuild)
}

// load builds the table from what the cluster holds.
func load(ctx context.Context, reader client.Reader, class string) (*Table, error) {
	var ingresses networkingv1.IngressList
	if err := reader.List(ctx, &ingresses); err != nil {
		return nil, fmt.Errorf("listing ingresses: %w", err)
	}
	var services corev1.ServiceList
	if err := reader.List(ctx, &services); err != nil {
		return nil, fmt.Errorf("listing services: %w", err)
	}
	return Build(class, ingresses.Items, services.Items), nil
}

// listener serves the proxy at one address for as long as the manager runs.
type listener struct {
	addr        string
	handler     http.Handler
	certificate *tls.Certificate // nil for plain HTTP
	logger      *slog.Logger
}

// NeedLeaderElection is false: a replica that waits for the lease still answers.
func (*listener) NeedLeaderElection() bool { return false }

// Start serves until ctx ends.
func (l *listener) Start(ctx context.Context) error {
	socket, err := new(net.ListenConfig).Listen(ctx, "tcp", l.addr)
	if err != nil {
		return fmt.Errorf("opening the ingress: %w", err)
	}
	server := &http.Server{
		Handler:           l.handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(l.logger.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() {
		if l.certificate == nil {
			failed <- server.Serve(socket)
			return
		}
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*l.certificate}, MinVersion: tls.VersionTLS12}
		failed <- server.ServeTLS(socket, "", "")
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serving the ingress at %s: %w", l.addr, err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if server.Shutdown(grace) != nil {
		_ = server.Close() // streams do not end by themselves
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
