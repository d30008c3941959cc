package janitor

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

// TestNothingIsShownAtTheEnd: who has handed the counting to another replica does not go on
// saying what waited then.
func TestNothingIsShownAtTheEnd(t *testing.T) {
	r := prometheus.NewRegistry()
	j := Janitor{registry: bus.NewRegistry(), metrics: newMetrics(r)}
	j.metrics.bytes.WithLabelValues("KS_LIVE").Set(1)
	j.metrics.limit.WithLabelValues("KS_LIVE").Set(2)
	j.metrics.routed.WithLabelValues("0").Set(3)
	j.metrics.show(hopStream, event.DestinationKey{Cluster: "prod", Namespace: "shop", Name: "live"}, event.Waiting{Messages: 4, Since: time.Now()}, time.Now())
	shown := func() int {
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		return len(families)
	}
	if n := shown(); n != 5 {
		t.Fatalf("%d metrics are shown at first", n)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	j.Run(ctx)
	if n := shown(); n != 0 {
		t.Errorf("%d metrics are still shown", n)
	}
}
