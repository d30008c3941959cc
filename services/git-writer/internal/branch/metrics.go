package branch

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/outcome"
)

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
			Help: "Changes, by what became of them (committed, dry_run, unchanged, coalesced, foreign, outdated, refused, overrun or unregistered: counted once the remote has all before them; missing, cut or dead_lettered: at once) and by origin.",
		}, []string{"outcome", "origin"}),
		Commits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kubescribe_git_writer_commits_total", Help: "Commits that were pushed, by origin of their changes.",
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

// tally is what became of changes that are read again if what was made of them does not get
// to the remote: it is counted once that has.
type tally struct {
	changes map[became]int
	commits map[event.Origin]int
}

type became struct {
	outcome outcome.Outcome
	origin  event.Origin
}

func newTally() tally { return tally{map[became]int{}, map[event.Origin]int{}} }

func (t tally) add(as outcome.Outcome, origin event.Origin, n int) {
	t.changes[became{as, origin}] += n
}

// count adds the tally to the counters, and begins anew. A crash before it leaves changes that
// are on the remote, and that nobody counts. Counters take nothing back: see uncount.
func (m *Metrics) count(t tally) {
	for o, n := range t.changes {
		m.Changes.WithLabelValues(string(o.outcome), string(o.origin)).Add(float64(n))
	}
	for origin, n := range t.commits {
		m.Commits.WithLabelValues(string(origin)).Add(float64(n))
	}
	t.clear()
}

func (t tally) clear() {
	clear(t.changes)
	clear(t.commits)
}

// countNow is for what somebody should look into, whenever the remote comes to be reached.
func (s *session) countNow(as outcome.Outcome, origin event.Origin) {
	s.Metrics.Changes.WithLabelValues(string(as), string(origin)).Inc()
}
