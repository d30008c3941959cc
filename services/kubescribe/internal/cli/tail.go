package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubescribe/kubescribe/services/kubescribe/internal/recorded"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const tailLong = `Follow the bus as it happens, until ^C: a line for each message of KS_EVENTS, KS_LIVE,
KS_WRITE and KS_DLQ, with what becomes of it as far as its place says that, and for each
push of a destination's, up to where it has KS_WRITE, unless objects are selected.

`

// tailWait is how long a wait for a message lasts; then another one begins.
const tailWait = 10 * time.Second

// hops are the streams that a change goes through, and the letters beside them.
var hops = map[string]string{subject.Events: subject.AllEvents, subject.Live: subject.AllLive, subject.Write: subject.AllWrite, subject.DLQ: subject.AllDLQ}

// tail is one call of the command.
type tail struct {
	reach
	selection

	output string
	env    Env
	bus    *bus.Bus

	mu sync.Mutex // guards what is printed
}

func tailCommand(env Env) *cobra.Command {
	t := tail{env: env}
	cmd := &cobra.Command{
		Use: "tail", Short: "Follow the bus as it happens",
		Long: tailLong + reachLong, Args: noArgs,
		Example: "  kubescribe tail\n  kubescribe tail --destination live --resource apps/deployments -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if t.output != "line" && t.output != "json" {
				return usage("--output %s: use line or json", t.output)
			}
			if err := t.selection.check(); err != nil {
				return err
			}
			if err := t.reach.check(); err != nil {
				return err
			}
			return t.run(cmd.Context())
		},
	}
	t.reach.flags(cmd)
	t.selection.flags(cmd)
	cmd.Flags().StringVarP(&t.output, "output", "o", "line", "`format`: line or json")
	return cmd
}

// run follows until ctx ends, or what is printed is read no more.
func (t *tail) run(ctx context.Context) (err error) {
	if t.bus, err = t.open(ctx, t.env); err != nil {
		return err
	}
	defer t.bus.Close()
	if t.destination != "" {
		all, err := destinations(ctx, t.bus)
		if err != nil {
			return err
		}
		if t.key, err = resolve(t.destination, inOrder(all)); err != nil {
			return err
		}
	}
	next := map[string]uint64{}
	for stream := range hops {
		e, err := t.bus.Extent(ctx, stream)
		if err != nil {
			return err
		}
		next[stream] = e.Last + 1
	}
	if _, err := fmt.Fprintln(t.env.Stderr, "following; ^C ends it"); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ends := make(chan error, len(hops)+1)
	for stream, filter := range hops {
		from := next[stream]
		go func() {
			ends <- t.persist(ctx, func(moved func()) error { return t.messages(ctx, stream, filter, &from, moved) })
		}()
	}
	follows := len(hops)
	if t.resource == "" && t.namespace == "" && t.name == "" {
		follows++
		go func() {
			ends <- t.persist(ctx, func(moved func()) error { return t.pushes(ctx, moved) })
		}()
	}
	err = <-ends
	cancel()
	for range follows - 1 {
		err = cmp.Or(err, <-ends)
	}
	return err
}

// unprinted is an error of what is printed to.
type unprinted struct{ error }

func (u unprinted) Unwrap() error { return u.error }

// persist follows again and again until ctx ends, or nothing can be printed any more.
func (t *tail) persist(ctx context.Context, follow func(moved func()) error) error {
	var backoff fault.Backoff
	for ctx.Err() == nil {
		err := follow(backoff.Reset)
		if errors.As(err, new(unprinted)) {
			return err
		}
		_ = fault.Wait(ctx, backoff.Next())
	}
	return nil
}

// messages prints those of a stream from a sequence on.
func (t *tail) messages(ctx context.Context, stream, filter string, next *uint64, moved func()) error {
	r, err := t.bus.Read(ctx, stream, []string{filter}, *next)
	if err != nil {
		return err
	}
	defer r.Close()
	for ctx.Err() == nil {
		m, ok, err := r.Next(ctx, tailWait)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		moved()
		*next = m.Seq + 1
		if e := recorded.Read(stream, m); t.picks(e) {
			if err := t.print(e.Line(), e); err != nil {
				return err
			}
		}
	}
	return nil
}

// landing is how far a destination is on its remote.
type landing struct {
	Destination string    `json:"destination"`
	Time        time.Time `json:"time"`
	Commit      string    `json:"commit"`
	Subject     string    `json:"subject"`
	Position    uint64    `json:"position"`
}

// pushes prints the commits that destinations come to have on their remotes.
func (t *tail) pushes(ctx context.Context, moved func()) error {
	statuses, err := bus.OpenBucket[event.Status](ctx, t.bus, subject.BucketStatus)
	if err != nil {
		return err
	}
	commits, synced := map[string]string{}, false
	return statuses.Watch(ctx, func(e bus.Entry[event.Status]) error {
		k, err := subject.ParseDestinationToken(e.Key)
		if err != nil {
			return err
		}
		was := commits[e.Key]
		commits[e.Key] = e.Record.Commit
		if e.Gone {
			delete(commits, e.Key)
		}
		if !synced || e.Gone || was == e.Record.Commit || t.key != (event.DestinationKey{}) && t.key != k {
			return nil
		}
		moved()
		p := landing{k.String(), e.Record.Pushed, e.Record.Commit, e.Record.Subject, e.Record.Position}
		return t.print(fmt.Sprintf("%s pushed up to %s %d for %s commit %.12s: %s",
			p.Time.UTC().Format(time.RFC3339Nano), subject.Write, p.Position, p.Destination, p.Commit, recorded.Safe(p.Subject)), p)
	}, func() error { synced = true; return nil })
}

// print prints one thing, whole.
func (t *tail) print(line string, record any) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.output == "json" {
		if err := json.NewEncoder(t.env.Stdout).Encode(record); err != nil {
			return unprinted{err}
		}
		return nil
	}
	if _, err := fmt.Fprintln(t.env.Stdout, line); err != nil {
		return unprinted{err}
	}
	return nil
}
