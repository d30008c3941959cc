package stream

import (
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// TestDecideUnknown: a change whose destination leaves after its ledger was found is as
// poisonous as one whose destination had left before.
func TestDecideUnknown(t *testing.T) {
	s := &shard{Stream: &Stream{bus: &bus.Bus{}, registry: bus.NewRegistry(), metrics: newMetrics(prometheus.NewRegistry())}}
	k := event.DestinationKey{Cluster: "c", Namespace: "n", Name: "d"}
	_, err := s.Decide(t.Context(), bus.Message{Subject: subject.LiveData(1, k)}, "")
	if !errors.Is(err, bus.ErrUnknownDestination) || fault.ClassOf(err) != fault.Poison {
		t.Errorf("%v, of class %v", err, fault.ClassOf(err))
	}
}
