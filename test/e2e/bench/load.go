package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// loadClients write at the same time.
const loadClients = 16

// load changes ConfigMaps that are there, one after the other.
type load struct {
	client   rest.Interface
	objects  []object      // more than clients: no two write the same one
	rate     int           // changes a second; 0: as many as the API server answers
	revision *atomic.Int64 // of all loads of a cluster: no content comes twice

	mu      sync.Mutex
	written []harness.Written // what was answered; guarded by mu
}

// newLoad makes a load that has changed nothing yet.
func newLoad(cfg *rest.Config, objects []object, rate int, revision *atomic.Int64) (*load, error) {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return &load{client: client.CoreV1().RESTClient(), objects: objects, rate: rate, revision: revision}, nil
}

// during changes objects until one context ends, and waits for what was asked until then;
// when the other one ends, for nothing. What is late is made up for.
func (l *load) during(ctx, while context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		all  sync.WaitGroup
		next atomic.Int64
	)
	begun := time.Now()
	for range loadClients {
		all.Go(func() {
			for while.Err() == nil && ctx.Err() == nil {
				n := next.Add(1) - 1
				if l.rate > 0 && fault.Wait(while, time.Until(begun.Add(time.Duration(n)*time.Second/time.Duration(l.rate)))) != nil {
					return
				}
				if err := l.change(ctx, l.objects[int(n)%len(l.objects)]); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// change gives an object another content.
func (l *load) change(ctx context.Context, o object) error {
	answer, err := l.client.Put().Namespace(o.namespace()).Resource(o.resource).Name(o.objectName()).
		SetHeader("Content-Type", "application/json").SetHeader("Accept", "application/json").
		Body(o.appendJSON(nil, version{revision: int(l.revision.Add(1))})).Do(ctx).Raw()
	at := time.Now()
	var is struct {
		Metadata struct{ ResourceVersion string }
	}
	if err == nil {
		err = json.Unmarshal(answer, &is)
	}
	if err != nil {
		return fmt.Errorf("changing %s: %w", o.objectName(), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written = append(l.written, harness.Written{
		Resource: harness.ResourceOf(corev1.SchemeGroupVersion.WithResource(o.resource), o.namespace(), o.objectName()),
		Version:  is.Metadata.ResourceVersion, At: at,
	})
	return nil
}

// answered is what the API server has answered so far, in the order of the answers.
func (l *load) answered() []harness.Written {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written
}
