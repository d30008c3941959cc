package watcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubescribe/kubescribe/services/watcher/internal/capture"
)

// reportEvery is how often a session looks whether its types are watched.
const reportEvery = time.Second

// report says when types are not watched any more, and when they are again: once
// for all of them, because most of what can happen happens to all.
func (s *session) report(ctx context.Context) {
	select {
	case <-s.known:
	case <-ctx.Done():
		return
	}
	was := true
	t := time.NewTicker(reportEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		err := s.unwatched(capture.ErrNotAllowed, capture.ErrStarting)
		switch {
		case err != nil && was:
			s.interruptions.Inc()
			s.log.Warn("types are not being watched, retrying", "err", err)
		case err == nil && !was:
			s.log.Info("all types are being watched")
		}
		was = err == nil
	}
}

// ready is nil while every type that may be watched is, and requests about them
// are answered.
func (s *session) ready() error {
	errs := []error{s.unwatched(capture.ErrNotAllowed)}
	for _, r := range s.requests {
		errs = append(errs, r.Ready())
	}
	return errors.Join(errs...)
}

// unwatched is nil while every type is watched, but for those whose readiness is
// one of besides.
func (s *session) unwatched(besides ...error) error {
	select {
	case <-s.known:
	default:
		return fmt.Errorf("waiting for the API server at %s", s.cfg.REST.Host)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var why []string
	for key, r := range s.workers {
		err := r.Ready()
		expected := slices.ContainsFunc(besides, func(b error) bool { return errors.Is(err, b) })
		if err != nil && !expected && !r.ended() {
			why = append(why, key.resource.String()+": "+err.Error())
		}
	}
	for _, l := range s.lanes {
		if l == nil {
			continue
		}
		if err := l.Ready(); err != nil {
			why = append(why, err.Error())
		}
	}
	if len(why) == 0 {
		return nil
	}
	slices.Sort(why)
	return fmt.Errorf("%d of %d types are not watched, among them %s", len(why), len(s.workers), why[0])
}

// states counts the types by how they stand.
func (s *session) states() (watched, waiting, forbidden int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.workers {
		switch err := r.Ready(); {
		case r.ended():
		case err == nil:
			watched++
		case errors.Is(err, capture.ErrNotAllowed):
			forbidden++
		default:
			waiting++
		}
	}
	return watched, waiting, forbidden
}
