package harness

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Burst creates ConfigMaps and updates each once, as fast as the API server
// takes it.
type Burst struct {
	Namespace string // which is there
	Objects   int
	Clients   int // that write at the same time
	// Stubborn clients try again while the API server is away. What it did
	// without answering is then not in the result.
	Stubborn bool

	answered atomic.Int64
}

// Answered is how many writes the API server has answered so far.
func (b *Burst) Answered() int { return int(b.answered.Load()) }

// Run writes, and returns what was answered, in no order but each object's own.
func (b *Burst) Run(ctx context.Context, cfg *rest.Config) ([]Written, error) {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		all  sync.WaitGroup
		next atomic.Int64
		mu   sync.Mutex
		done []Written
	)
	for range b.Clients {
		all.Go(func() {
			for n := next.Add(1); n <= int64(b.Objects); n = next.Add(1) {
				for _, value := range []string{"created", "updated"} {
					w, err := b.write(ctx, client, fmt.Sprintf("burst-%04d", n), value)
					if err != nil {
						cancel(err)
						return
					}
					b.answered.Add(1)
					mu.Lock()
					done = append(done, w)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return done, context.Cause(ctx)
}

// Remove deletes what Run has written.
func (b *Burst) Remove(ctx context.Context, cfg *rest.Config) error {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	err = client.CoreV1().ConfigMaps(b.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("removing the burst's objects: %w", err)
	}
	return nil
}

// write brings an object to a value.
func (b *Burst) write(ctx context.Context, client kubernetes.Interface, name, value string) (Written, error) {
	maps := client.CoreV1().ConfigMaps(b.Namespace)
	want := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: name},
		Data:       map[string]string{"state": value, "settings.ini": "[" + name + "]\nlevel = 3\ncolour = blue\n"},
	}
	var answer *corev1.ConfigMap
	once := func(ctx context.Context) (err error) {
		if value == "created" {
			answer, err = maps.Create(ctx, want, metav1.CreateOptions{FieldManager: UserAgent})
			if b.Stubborn && apierrors.IsAlreadyExists(err) {
				answer, err = maps.Get(ctx, name, metav1.GetOptions{})
			}
			return err
		}
		answer, err = maps.Update(ctx, want, metav1.UpdateOptions{FieldManager: UserAgent})
		return err
	}
	var err error
	if b.Stubborn {
		err = Poll(ctx, 100*time.Millisecond, "the API server to take "+name, once)
	} else {
		err = once(ctx)
	}
	if err != nil {
		return Written{}, fmt.Errorf("writing %s: %w", name, err)
	}
	return Written{
		Resource: ResourceOf(corev1.SchemeGroupVersion.WithResource("configmaps"), b.Namespace, name),
		Version:  answer.ResourceVersion, At: time.Now(),
	}, nil
}
