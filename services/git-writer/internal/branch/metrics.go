package branch

import "github.com/prometheus/client_golang/prometheus"

// Metrics of all workers of a process. Branches are told apart by their key,
// which the log names beside the URL: there are as many as a person has
// configured.
type Metrics struct {
	Changes     *prometheus.CounterVec // by outcome and origin
	Commits     *prometheus.CounterVec // by origin
	Pushes      *prometheus.CounterVec // by result
	PushSeconds prometheus.Histogram
	Failures    *prometheus.CounterVec // by reason
	Lag         *prometheus.GaugeVec   // by branch
	Held        *prometheus.GaugeVec   // by branch
}

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		Changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kubescribe_git_writer_changes_total",
			Help: "Changes read, by what became of them (committed, unchanged, coalesced, foreign, outdated, refused, unregistered, missing or dead_lettered) and by origin.",
		}, []string{"outcome", "origin"}),
		Commits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kubescribe_git_writer_commits_total", Help: "Commits built, by origin of their changes.",
		}, []string{"origin"}),
		Pushes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kubescribe_git_writer_pushes_total", Help: "Pushes, by result: landed or failed.",
		}, []string{"result"}),
		PushSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kubescribe_git_writer_push_seconds", Help: "How long pushes that landed took.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
		}),
		Failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kubescribe_git_writer_stalls_total", Help: "How often a branch could not move, by reason.",
		}, []string{"reason"}),
		Lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kubescribe_git_writer_lag_messages", Help: "Changes that wait for their commit, by branch.",
		}, []string{"branch"}),
		Held: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kubescribe_git_writer_held_objects", Help: "Objects that had their commits of the minute, and of which a newer version waits for the next one, by branch.",
		}, []string{"branch"}),
	}
	r.MustRegister(m.Changes, m.Commits, m.Pushes, m.PushSeconds, m.Failures, m.Lag, m.Held)
	return m
}
