package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// destinations is every one that is registered.
func destinations(ctx context.Context, b *bus.Bus) (map[event.DestinationKey]bus.Registered, error) {
	kv, err := bus.OpenBucket[event.Destination](ctx, b, subject.BucketDestination)
	if err != nil {
		return nil, err
	}
	entries, err := kv.All(ctx)
	if err != nil {
		return nil, err
	}
	all := map[event.DestinationKey]bus.Registered{}
	for _, e := range entries {
		all[e.Record.Key] = bus.Registered{Destination: e.Record, Revision: e.Revision}
	}
	return all, nil
}

// inOrder is their keys, sorted by name.
func inOrder(all map[event.DestinationKey]bus.Registered) []event.DestinationKey {
	return slices.SortedFunc(maps.Keys(all), byName)
}

func byName(a, b event.DestinationKey) int { return strings.Compare(a.String(), b.String()) }

// resolve finds the destination that a person means: name, namespace/name or
// cluster/namespace/name, whatever says enough.
func resolve(meant string, known []event.DestinationKey) (event.DestinationKey, error) {
	var found []event.DestinationKey
	for _, k := range known {
		if k.String() == meant || strings.HasSuffix(k.String(), "/"+meant) && meant != "" {
			found = append(found, k)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return event.DestinationKey{}, fmt.Errorf("%s may be any of these; say which:%s", meant, list(found))
	case len(known) == 0:
		return event.DestinationKey{}, fmt.Errorf("there is no destination %q: none is registered", meant)
	}
	return event.DestinationKey{}, fmt.Errorf("there is no destination %q; there are:%s", meant, list(known))
}

func list(keys []event.DestinationKey) string {
	var b strings.Builder
	for _, k := range keys {
		b.WriteString("\n  " + k.String())
	}
	return b.String()
}
