package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

// runWait is how long a command waits for a run, if nothing else is said.
const runWait = 10 * time.Minute

// session is a command's business with one destination.
type session struct {
	reach
	timeout time.Duration

	bus         *bus.Bus
	all         map[event.DestinationKey]bus.Registered
	destination event.Destination
	awaiter     *awaiter
}

func (s *session) flags(cmd *cobra.Command) {
	s.reach.flags(cmd)
	cmd.Flags().DurationVar(&s.timeout, "timeout", runWait, "how `long` to wait")
}

// do finds a destination, and does something about it within the timeout.
func (s *session) do(ctx context.Context, env Env, dest string, do func(context.Context) error) error {
	if s.timeout <= 0 {
		return usage("--timeout %s: waiting takes time", s.timeout)
	}
	if err := s.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.find(ctx, env, dest)
	if s.bus != nil {
		defer s.bus.Close()
	}
	if err == nil {
		err = do(ctx)
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		err = fmt.Errorf("not done in time (--timeout %s): %w", s.timeout, err)
	}
	return err
}

// find reaches the bus and finds the destination.
func (s *session) find(ctx context.Context, env Env, dest string) (err error) {
	if s.bus, err = s.open(ctx, env); err != nil {
		return err
	}
	if s.all, err = destinations(ctx, s.bus); err != nil {
		return err
	}
	k, err := resolve(dest, inOrder(s.all))
	if err != nil {
		return err
	}
	s.destination = s.all[k].Destination
	s.awaiter, err = newAwaiter(ctx, s.bus, s.destination, env.Stderr)
	return err
}

// toApprove is what a person types to approve the deletions of a run.
func (s *session) toApprove(run string) string {
	return "kubescribe approve" + s.typed() + " " + shell(s.destination.Key.String()) + " " + run
}

// tell prints what a run came to, and once that is on the remote, where.
func (s *session) tell(ctx context.Context, env Env, rec event.PhaseRecord) error {
	approve := ""
	if o := rec.Outcome; o != nil && o.Pending != nil {
		approve = s.toApprove(o.Pending.Run)
	}
	if _, err := fmt.Fprint(env.Stdout, told(s.destination, rec, approve)); err != nil {
		return err
	}
	commit, err := s.awaiter.lands(ctx)
	if err != nil || commit == "" || s.destination.DryRun { // nothing was ever to be written, or this was not
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "  on the remote: commit %s\n", commit)
	return err
}

func reconcileCommand(env Env) *cobra.Command {
	var s session
	cmd := &cobra.Command{
		Use: "reconcile DESTINATION", Short: "Make a destination's folder equal to its cluster now",
		Long: "Ask for a run of a destination, which compares the folder with the cluster and writes\n" +
			"what differs, and wait until that is on the remote. DESTINATION is its name, as much of\n" +
			"cluster/namespace/name as says which.\n\n" + reachLong,
		Example: "  kubescribe reconcile live\n  kubescribe reconcile prod/gitops/live --timeout 1m",
		Args:    exactly("DESTINATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.do(cmd.Context(), env, args[0], func(ctx context.Context) error {
				rec, err := s.awaiter.run(ctx, event.Request{Reason: event.ReasonRequested})
				if err != nil {
					return err
				}
				return s.tell(ctx, env, rec)
			})
		},
	}
	s.flags(cmd)
	return cmd
}

func approveCommand(env Env) *cobra.Command {
	var s session
	cmd := &cobra.Command{
		Use: "approve DESTINATION RUN", Short: "Let withheld deletions be carried out",
		Long: "Approve the deletions that a run has withheld, which kubescribe get shows, and wait\n" +
			"until they are on the remote. Exactly those are approved: where others have come or some\n" +
			"have gone since, they are withheld again.\n\n" + reachLong,
		Example: "  kubescribe approve live mJ2sQ4cF0Zb9yXqv5nTt1w",
		Args:    exactly("DESTINATION", "RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.do(cmd.Context(), env, args[0], func(ctx context.Context) error { return s.approve(ctx, env, args[1]) })
		},
	}
	s.flags(cmd)
	return cmd
}

func (s *session) approve(ctx context.Context, env Env, run string) error {
	rec, err := s.awaiter.record(ctx)
	if err != nil {
		return err
	}
	pending, err := s.pending(rec, run)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: approving %s of run %s\n", s.destination.Key, count(pending.Count, "deletion"), run)
	some(&b, pending.Paths, pending.Count)
	if _, err := fmt.Fprint(env.Stdout, b.String()); err != nil {
		return err
	}
	rec, err = s.awaiter.run(ctx, event.Request{Reason: event.ReasonApproved, Approved: run})
	if errors.Is(err, errDropped) { // another run has closed in between
		if rec, err = s.awaiter.record(ctx); err == nil {
			_, err = s.pending(rec, run)
		}
		if err == nil {
			err = errDropped
		}
	}
	if err != nil {
		return err
	}
	if err := s.tell(ctx, env, rec); err != nil {
		return err
	}
	if o := rec.Outcome; o != nil && o.Pending != nil {
		return fmt.Errorf("the deletions are not those that were approved any more: %s withheld again, under run %s; look at them, and type %s",
			count(o.Pending.Count, "deletion"), o.Pending.Run, s.toApprove(o.Pending.Run))
	}
	return nil
}

// pending is the deletions of a run that wait for a person.
func (s *session) pending(rec event.PhaseRecord, run string) (*event.Pending, error) {
	switch o := rec.Outcome; {
	case o == nil || o.Pending == nil:
		return nil, fmt.Errorf("nothing of %s waits to be approved", s.destination.Key)
	case o.Pending.Run != run:
		return nil, fmt.Errorf("what waits to be approved are not deletions of run %s, but %s of run %s: look at them, and type %s",
			run, count(o.Pending.Count, "deletion"), o.Pending.Run, s.toApprove(o.Pending.Run))
	default:
		return o.Pending, nil
	}
}

// exactly asks for as many arguments as there are names.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > len(names) {
			return usage("unexpected argument %q; see %s --help", args[len(names)], cmd.CommandPath())
		}
		for i, name := range names {
			if i >= len(args) || args[i] == "" {
				return usage("%s is missing: %s %s", name, cmd.CommandPath(), strings.Join(names, " "))
			}
		}
		return nil
	}
}
