package stream

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	changes *prometheus.CounterVec // by outcome and origin
	held    *prometheus.GaugeVec   // by destination
	lag     prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kubescribe_stream_changes_total",
			Help: "Changes and results taken, by what became of them: forwarded, suppressed, pruned, late, covered, marked or unregistered.",
		}, []string{"outcome", "origin"}),
		held: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kubescribe_stream_held_messages", Help: "Changes held back until a run closes, by destination.",
		}, []string{"destination"}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kubescribe_stream_lag_messages", Help: "Changes routed and not yet in a destination stream.",
		}),
	}
	r.MustRegister(m.changes, m.held, m.lag)
	return m
}
