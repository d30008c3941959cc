package cli

import (
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

func TestWorst(t *testing.T) {
	const live, startup, parked = event.LiveProcessing, event.StartupReconcile, event.Parked
	key := func(cluster, name string) event.DestinationKey {
		return event.DestinationKey{Cluster: cluster, Namespace: "default", Name: name}
	}
	a, b, c := key("one", "a"), key("one", "b"), key("one", "c")
	for name, tt := range map[string]struct {
		registered []event.DestinationKey
		told       map[event.DestinationKey]event.Phase
		want       event.Phase
	}{
		"none yet":              {nil, nil, startup},
		"not told of":           {[]event.DestinationKey{a, b}, map[event.DestinationKey]event.Phase{b: live}, startup},
		"one":                   {[]event.DestinationKey{a}, map[event.DestinationKey]event.Phase{a: live}, live},
		"two":                   {[]event.DestinationKey{a, b}, map[event.DestinationKey]event.Phase{a: live, b: startup}, startup},
		"three":                 {[]event.DestinationKey{a, b, c}, map[event.DestinationKey]event.Phase{a: live, b: startup, c: parked}, parked},
		"one that is gone":      {[]event.DestinationKey{b}, map[event.DestinationKey]event.Phase{a: startup, b: live}, live},
		"of another cluster":    {[]event.DestinationKey{b, key("two", "b")}, map[event.DestinationKey]event.Phase{b: live, key("two", "b"): parked}, live},
		"all that was are gone": {nil, map[event.DestinationKey]event.Phase{a: live}, startup},
	} {
		t.Run(name, func(t *testing.T) {
			registered, told := map[event.DestinationKey]bus.Registered{}, map[string]event.Phase{}
			for _, k := range tt.registered {
				registered[k] = bus.Registered{}
			}
			for k, phase := range tt.told {
				told[subject.DestinationToken(k)] = phase
			}
			if got := worst("one", registered, told); got != tt.want {
				t.Errorf("together they are %s, want %s", got, tt.want)
			}
		})
	}
}
