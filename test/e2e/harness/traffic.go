package harness

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// trafficClients write at the same time, each its own objects.
const trafficClients = 16

// Traffic changes ConfigMaps all the time: each is created, updated, deleted after a
// while and made again, and no content comes twice.
type Traffic struct {
	Namespace string // which is there
	Objects   int
	Rate      int // writes a second, as far as the API server takes them
	// Returns has the objects go from one content to another and back, and some versions
	// say what the one before them says.
	Returns bool
	// Label is on every fourth object; empty: on none.
	Label string

	answered atomic.Int64
	writing  sync.RWMutex // read-locked by each write
}

// Answered is how many writes the API server has answered so far.
func (f *Traffic) Answered() int { return int(f.answered.Load()) }

// Hold waits until every write that has begun is answered, and has none begin until goOn.
func (f *Traffic) Hold() (goOn func()) {
	f.writing.Lock()
	return f.writing.Unlock
}

// Run writes until stop is closed, and returns what was answered, in no order but each
// object's own.
func (f *Traffic) Run(ctx context.Context, stop <-chan struct{}, cfg *rest.Config) ([]Written, error) {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		done []Written
		due  [trafficClients]chan int
	)
	for i := range due {
		due[i] = make(chan int)
		all.Go(func() {
			for n := range due[i] {
				f.writing.RLock()
				w, err := f.write(ctx, client, n%f.Objects, n/f.Objects)
				f.writing.RUnlock()
				if err != nil {
					cancel(err)
					return
				}
				f.answered.Add(1)
				mu.Lock()
				done = append(done, w)
				mu.Unlock()
			}
		})
	}
	f.pace(ctx, stop, &due)
	for _, c := range due {
		close(c)
	}
	all.Wait()
	return done, context.Cause(ctx)
}

// pace has the objects written one after the other, at the rate: what was late is made
// up for.
func (f *Traffic) pace(ctx context.Context, stop <-chan struct{}, due *[trafficClients]chan int) {
	begun, tick := time.Now(), time.NewTicker(time.Second/time.Duration(f.Rate))
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for ; float64(n) < time.Since(begun).Seconds()*float64(f.Rate); n++ {
			select {
			case due[n%f.Objects%trafficClients] <- n:
			case <-stop: // though some of it is late
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// write writes a version of an object: the last one of each life is its deletion.
func (f *Traffic) write(ctx context.Context, client kubernetes.Interface, object, version int) (w Written, err error) {
	const life = 8
	maps, name := client.CoreV1().ConfigMaps(f.Namespace), fmt.Sprintf("traffic-%04d", object)
	w.Resource = ResourceOf(corev1.SchemeGroupVersion.WithResource("configmaps"), f.Namespace, name)
	want := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: name},
		Data:       map[string]string{"version": fmt.Sprint(version)},
	}
	if f.Label != "" && object%4 == 0 {
		want.Labels = map[string]string{f.Label: ""}
	}
	if f.Returns {
		want.Data["version"] = string("ABAABAB"[version%life%7])
		want.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: fmt.Sprint(version)} // nobody's intent
	}
	var answer *corev1.ConfigMap
	switch version % life {
	case 0:
		answer, err = maps.Create(ctx, want, metav1.CreateOptions{FieldManager: UserAgent})
	case life - 1:
		w.Deleted = true
		err = maps.Delete(ctx, name, metav1.DeleteOptions{})
	default:
		answer, err = maps.Update(ctx, want, metav1.UpdateOptions{FieldManager: UserAgent})
	}
	if err != nil {
		return Written{}, fmt.Errorf("writing version %d of %s: %w", version, name, err)
	}
	if !w.Deleted {
		w.Version = answer.ResourceVersion
	}
	w.At = time.Now()
	return w, nil
}
