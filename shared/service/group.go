package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Role is one of kubescribe's services, ready to run.
type Role struct {
	Name string
	// Run works until its context ends, finishes what it must, and returns nil.
	// An error means that the role cannot go on.
	Run func(context.Context) error
	// Ready is nil while the role does its work, else what keeps it.
	Ready func() error
	// StopWithin bounds how long Run may take to return. 0 is 3 s.
	StopWithin time.Duration
}

// RunAll runs roles until ctx ends or one of them fails, then stops them one
// after the other in the order given, each within its bound, and returns what
// went wrong, nil if nothing did. A role that is late is left behind, and no
// error: what it had not stored is done again by the next start.
func RunAll(ctx context.Context, log *slog.Logger, roles []Role) error {
	type running struct {
		cancel context.CancelFunc
		done   chan error
	}
	failed := make(chan string, len(roles))
	all := make([]running, len(roles))
	for i, r := range roles {
		// Not derived from ctx: a role ends when its turn comes.
		rctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		all[i] = running{cancel, make(chan error, 1)}
		go func() {
			err := r.Run(rctx)
			if err == nil && rctx.Err() == nil {
				err = errors.New("ended by itself")
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", r.Name, err)
				failed <- r.Name
			}
			all[i].done <- err
		}()
	}
	select {
	case <-ctx.Done():
	case role := <-failed:
		log.Info("stopping, for a role has failed", "role", role) // the caller says why
	}
	var errs []error
	for i, r := range roles {
		bound := r.StopWithin
		if bound == 0 {
			bound = 3 * time.Second
		}
		all[i].cancel()
		t := time.NewTimer(bound)
		select {
		case err := <-all[i].done:
			errs = append(errs, err)
			log.Debug("role stopped", "role", r.Name)
		case <-t.C:
			log.Warn("role is late and left behind; what it has not done is kept, and the next start goes on", "role", r.Name, "bound", bound)
		}
		t.Stop()
	}
	return errors.Join(errs...)
}
