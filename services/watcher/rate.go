package watcher

import (
	"flag"
	"fmt"
	"math"

	"k8s.io/client-go/rest"
)

// Rate is how often the API server is asked at most, as the flags of Kubernetes' own programs
// say it. The zero value is as often as there is something to ask.
type Rate struct {
	QPS   float64 // requests a second
	Burst int     // that may come at once
}

// Flags declares the flags; what is set is the default.
func (r *Rate) Flags(fs *flag.FlagSet) {
	fs.Float64Var(&r.QPS, "kube-api-qps", r.QPS, "`requests` a second to the API server, at most; 0 for no limit but its own")
	fs.IntVar(&r.Burst, "kube-api-burst", r.Burst, "`requests` that may be made at once, with --kube-api-qps; 0 for as many as a second has")
}

// Apply has a client keep the rate.
func (r Rate) Apply(rc *rest.Config) error {
	switch {
	case r.QPS < 0, math.IsNaN(r.QPS), r.QPS > math.MaxInt32:
		return fmt.Errorf("--kube-api-qps is %v: write how many requests a second are made at most, or 0 for no limit", r.QPS)
	case r.Burst < 0:
		return fmt.Errorf("--kube-api-burst is %d: write how many requests may be made at once", r.Burst)
	case r.Burst > 0 && r.QPS == 0:
		return fmt.Errorf("--kube-api-burst goes with --kube-api-qps")
	case r.QPS == 0:
		return nil
	}
	rc.QPS, rc.Burst = float32(r.QPS), r.Burst
	if r.Burst == 0 {
		rc.Burst = int(math.Ceil(r.QPS))
	}
	return nil
}
