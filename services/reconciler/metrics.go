package reconciler

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/shared/event"
)

// metrics are those of the role. Their labels are from closed sets, but for
// destinations, which people configure.
type metrics struct {
	runs     *prometheus.CounterVec
	attempts prometheus.Counter
	seconds  prometheus.Histogram
	results  *prometheus.CounterVec
	running  prometheus.Gauge
	pending  *prometheus.GaugeVec
	letters  *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kubescribe_reconciler_runs_total", Help: "Runs begun, by why.",
		}, []string{"reason"}),
		attempts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kubescribe_reconciler_retries_total", Help: "Further attempts at a run.",
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kubescribe_reconciler_run_seconds", Help: "Time from the beginning of a run until it closed, of those seen from the beginning.",
			Buckets: prometheus.ExponentialBuckets(0.1, 4, 10),
		}),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kubescribe_reconciler_results_total",
			Help: "What comparisons found: create, reconcile, delete, withheld, equal, kept or foreign.",
		}, []string{"result"}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kubescribe_reconciler_running_runs", Help: "Runs under way.",
		}),
		pending: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kubescribe_reconciler_pending_deletions", Help: "Deletions that wait for a person, of the destinations that have some.",
		}, []string{"destination"}),
		letters: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kubescribe_dead_letters", Help: "Dead letters in KS_DLQ of the whole install, by the role that sent them, or other.",
		}, []string{"stage"}),
	}
	r.MustRegister(m.runs, m.attempts, m.seconds, m.results, m.running, m.pending, m.letters)
	return m
}

// found counts the results of a run.
func (m metrics) found(o event.Outcome) {
	withheld := 0
	if o.Pending != nil {
		withheld = o.Pending.Count
	}
	for result, n := range map[string]int{
		"create": o.Created, "reconcile": o.Updated, "delete": o.Deleted, "withheld": withheld,
		"equal": o.Equal, "kept": o.Kept, "foreign": o.ForeignCount,
	} {
		m.results.WithLabelValues(result).Add(float64(n))
	}
}

// waits shows what of a destination waits for a person.
func (m metrics) waits(k event.DestinationKey, o *event.Outcome) {
	if o == nil || o.Pending == nil {
		m.pending.DeleteLabelValues(k.String())
		return
	}
	m.pending.WithLabelValues(k.String()).Set(float64(o.Pending.Count))
}
