package sealing

import (
	"context"
	"errors"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// put stores what make seals, unless what stands there is from the same source: a start
// writes nothing where nothing has changed. A crash before it leaves what was sealed
// before, and the next watcher reads the Secret.
func (cfg Config) put(ctx context.Context, k event.DestinationKey, source string, seal func() (event.Credential, error)) (written bool, err error) {
	key, err := subject.CredentialKey(k.String())
	if err != nil {
		return false, err
	}
	for {
		old, revision, err := cfg.Store.Newest(ctx, key)
		switch {
		case errors.Is(err, event.ErrMalformed):
			// Nobody can read what stands there, nor say at which revision.
			if err := cfg.Store.Delete(ctx, key); err != nil {
				return false, err
			}
			continue
		case err != nil && !errors.Is(err, bus.ErrNoMessage):
			return false, err
		case err == nil && old.Source == source:
			return false, nil
		}
		c, err := seal()
		if err != nil {
			return false, err
		}
		if _, err = cfg.Store.Put(ctx, key, c, revision); !errors.Is(err, bus.ErrConflict) {
			return err == nil, err
		}
	}
}

// remove removes what stands there of a Secret, if anything does.
func (cfg Config) remove(ctx context.Context, k event.DestinationKey) error {
	key, err := subject.CredentialKey(k.String())
	if err != nil {
		return err
	}
	if _, _, err := cfg.Store.Newest(ctx, key); errors.Is(err, bus.ErrNoMessage) {
		return nil
	}
	return cfg.Store.Delete(ctx, key)
}

// tidy removes what stands there of the cluster's Secrets that are not wanted any more. A
// crash in between leaves some, until the next start.
func (cfg Config) tidy(ctx context.Context, want map[event.DestinationKey][]string) {
	var backoff fault.Backoff
	said := ""
	for ctx.Err() == nil {
		err := cfg.removeOthers(ctx, want)
		if err == nil {
			return
		}
		if g := fault.Gist(err); g != said && ctx.Err() == nil {
			said = g
			cfg.Log.Warn("sealed Secrets that no remote names any more are not removed, retrying", "err", err)
		}
		_ = fault.Wait(ctx, backoff.Next())
	}
}

func (cfg Config) removeOthers(ctx context.Context, want map[event.DestinationKey][]string) error {
	have, err := cfg.Store.Keys(ctx)
	if err != nil {
		return err
	}
	for key := range have {
		secret, err := subject.ParseCredentialKey(key)
		if err != nil {
			continue
		}
		k, err := event.ParseDestinationKey(secret)
		if _, wanted := want[k]; err != nil || wanted || k.Cluster != cfg.Cluster {
			continue
		}
		if err := cfg.Store.Delete(ctx, key); err != nil {
			return err
		}
		cfg.Log.Info("a sealed Secret that no remote names any more was removed", "secret", secret)
	}
	return nil
}
