package controller

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienteventsv1 "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record/util"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
)

const (
	// maxUntold is how many events may wait to be written. A thousand workloads of three resources make seven thousand
	// when their chain appears; each waits in some 300 bytes.
	maxUntold = 20000
	// maxRemembered is for how many events it is known that they were told before.
	maxRemembered = 1000
	// seriesTime is how long after an event the same one only adds to it, as client-go's recorders have it.
	seriesTime = 6 * time.Minute
	// longestNote is what the API server takes, in bytes.
	longestNote = 1024
	tellFirst   = time.Second // between tries while the API server is away
	tellLongest = 30 * time.Second
	tellLimit   = 30 * time.Second // of one try
	// While so many owners are looked at, each event waits for a while: the API server has better to do. Written at once,
	// the events of a chain that appears are a twelfth of the work until all of its workloads are Ready.
	crowd      = 4
	giveWay    = 100 * time.Millisecond
	lookAround = 10 * time.Millisecond
)

// teller writes events about owners, one after the other, so that they do not hold up what they tell of: client-go's
// recorder writes all at once, and of several that differ only in their text it writes only the first.
type teller struct {
	events   clienteventsv1.EventsV1Interface
	instance string
	log      *slog.Logger
	untold   chan *told
	dropped  atomic.Int64
	active   atomic.Int64 // owners that are looked at now
	// written holds what was written of late, a series by its event; only Start uses it.
	written *lru.Cache
}

// ownerEvent is what makes two events the same one.
type ownerEvent struct {
	kind, action, reason, note string
	owner                      types.NamespacedName
	uid                        types.UID
}

// told is an event and when it was.
type told struct {
	ownerEvent

	at time.Time
}

// series is an event that was written, and how often and when it has happened.
type series struct {
	name  string
	count int32
	last  time.Time
}

func newTeller(config *rest.Config, log *slog.Logger) (*teller, error) {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf // half of the work of JSON, on both sides
	events, err := clienteventsv1.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	instance := recorderName
	if host, err := os.Hostname(); err == nil {
		instance += "-" + host
	}
	return &teller{events: events, instance: instance, log: log, untold: make(chan *told, maxUntold), written: lru.New(maxRemembered)}, nil
}

// tell has an event written later. It never waits; an event for which there is no room is dropped.
func (t *teller) tell(owner client.Object, kind, action string, what realize.Event) {
	next := &told{at: time.Now(), ownerEvent: ownerEvent{kind: kind, action: action, reason: what.Reason, note: what.Message,
		owner: client.ObjectKeyFromObject(owner), uid: owner.GetUID()}}
	select {
	case t.untold <- next:
	default:
		t.dropped.Add(1)
	}
}

// Start writes events until ctx ends. What has not been written then is lost: events are a courtesy.
func (t *teller) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case next := <-t.untold:
			t.giveWay(ctx)
			t.write(ctx, next)
		}
		if dropped := t.dropped.Swap(0); dropped > 0 {
			t.log.Warn("some events are not told: there are too many", "dropped", dropped)
		}
	}
}

// looking notes that an owner is being looked at, until what it returns is called.
func (t *teller) looking() (done func()) {
	t.active.Add(1)
	return func() { t.active.Add(-1) }
}

// giveWay waits while many owners are looked at, but not for long: they may be many for ever.
func (t *teller) giveWay(ctx context.Context) {
	for begin := time.Now(); t.active.Load() >= crowd && time.Since(begin) < giveWay; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookAround):
		}
	}
}

// write writes one event, and holds up the others while the API server is away.
func (t *teller) write(ctx context.Context, next *told) {
	for pause := tellFirst; ; pause = min(2*pause, tellLongest) {
		err := t.try(ctx, next)
		if err == nil || ctx.Err() != nil {
			return
		}
		if !mayPass(err) {
			t.log.Debug("an event is not told", "kind", next.kind, "name", next.owner, "reason", next.reason, "error", err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// mayPass says whether an error is of the moment: the API server did not answer, or asks to come again.
func mayPass(err error) bool {
	var answer apierrors.APIStatus
	return !errors.As(err, &answer) || apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsTimeout(err) || apierrors.IsInternalError(err)
}

func (t *teller) try(ctx context.Context, next *told) error {
	ctx, cancel := context.WithTimeout(ctx, tellLimit)
	defer cancel()
	if found, ok := t.written.Get(next.ownerEvent); ok {
		if before, ok := found.(series); ok && next.at.Sub(before.last) < seriesTime {
			before.count, before.last = before.count+1, next.at
			if err := t.again(ctx, next, before); !apierrors.IsNotFound(err) {
				return err
			}
		}
	}
	return t.create(ctx, next)
}

// again adds to an event that was written before.
func (t *teller) again(ctx context.Context, next *told, now series) error {
	patch, err := json.Marshal(map[string]any{"series": eventsv1.EventSeries{Count: now.count, LastObservedTime: metav1.NewMicroTime(now.last)}})
	if err != nil {
		return err
	}
	err = t.events.RESTClient().Patch(types.MergePatchType).Namespace(next.owner.Namespace).Resource("events").Name(now.name).
		Body(patch).Do(ctx).Error()
	if err == nil {
		t.written.Add(next.ownerEvent, now)
	}
	return err
}

func (t *teller) create(ctx context.Context, next *told) error {
	body := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: next.owner.Namespace, Name: util.GenerateEventName(next.owner.Name, next.at.UnixNano())},
		EventTime:  metav1.NewMicroTime(next.at), Type: corev1.EventTypeNormal, Reason: next.reason, Action: next.action, Note: shortened(next.note),
		ReportingController: recorderName, ReportingInstance: t.instance,
		Regarding: corev1.ObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: next.kind,
			Namespace: next.owner.Namespace, Name: next.owner.Name, UID: next.uid},
	}
	// The answer is not read: it is what was sent.
	err := t.events.RESTClient().Post().Namespace(next.owner.Namespace).Resource("events").Body(body).Do(ctx).Error()
	if err != nil && !apierrors.IsAlreadyExists(err) { // a try before has come through
		return err
	}
	t.written.Add(next.ownerEvent, series{name: body.Name, count: 1, last: next.at})
	return nil
}

// shortened cuts a note to what the API server takes, between two characters.
func shortened(note string) string {
	if len(note) <= longestNote {
		return note
	}
	const more = "..."
	cut := 0
	for at := range note {
		if at > longestNote-len(more) {
			break
		}
		cut = at
	}
	return note[:cut] + more
}
