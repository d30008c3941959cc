package watcher

import (
	"testing"

	"k8s.io/client-go/rest"
)

func TestRate(t *testing.T) {
	for _, tt := range []struct {
		rate  Rate
		qps   float32
		burst int
		ok    bool
	}{
		{Rate{}, 0, 0, true},
		{Rate{QPS: 20, Burst: 40}, 20, 40, true},
		{Rate{QPS: 0.5}, 0.5, 1, true},
		{Rate{QPS: 20}, 20, 20, true},
		{Rate{QPS: -1}, 0, 0, false},
		{Rate{QPS: 20, Burst: -1}, 0, 0, false},
		{Rate{Burst: 40}, 0, 0, false},
	} {
		rc := &rest.Config{}
		err := tt.rate.Apply(rc)
		if (err == nil) != tt.ok || rc.QPS != tt.qps || rc.Burst != tt.burst {
			t.Errorf("%+v: %v a second and %d at once, %v", tt.rate, rc.QPS, rc.Burst, err)
		}
	}
}
