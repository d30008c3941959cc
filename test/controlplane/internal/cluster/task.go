package cluster

import (
	"context"
	"errors"
	"time"

	"k8s.io/klog/v2"
)

// stopLimit bounds how long one component may take to stop, so that the whole
// process ends within seconds even if a client holds on to a request.
const stopLimit = 5 * time.Second

// task is a component that runs in the background until it is stopped or fails.
type task struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when the component has returned
	err    error         // why it returned; never nil; valid once done is closed
}

// startTask runs the component in a goroutine. Its context ends with stop only:
// the order of stopping is the caller's.
func startTask(run func(context.Context) error) *task {
	ctx, cancel := context.WithCancel(context.Background())
	t := &task{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		if t.err = run(ctx); t.err == nil {
			t.err = errors.New("it returned without an error")
		}
	}()
	return t
}

// stop asks the component to stop and waits for it, at most stopLimit.
func (t *task) stop() {
	t.cancel()
	select {
	case <-t.done:
	case <-time.After(stopLimit):
		klog.InfoS("A component is still stopping: going on without it", "limit", stopLimit)
	}
}
