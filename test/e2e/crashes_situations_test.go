package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// bring is what is done about a situation: provoke is done with the order given, done once
// all that was killed runs again and the load has ended.
type bring struct {
	provoke func()
	done    func()
}

// situation brings about one in which a point is reached, beside the load.
type situation func(*testing.T, *cell) bring

// situations are those of the points, by role and name.
var situations = map[string]situation{
	"watcher: put KS_DESTINATION":                respecified,
	"watcher: fence KS_EVENTS":                   started,
	"watcher: publish change":                    loaded,
	"watcher: publish mark":                      compared,
	"watcher: store a batch in KS_EVENTS":        crowded,
	"watcher: put KS_CURSOR":                     typed,
	"watcher: remove KS_CURSOR":                  untyped,
	"watcher: ask REQUEST_RUN":                   typed,
	"watcher: acknowledge REQUEST_CLUSTER_STATE": compared,
	"watcher: acknowledge REQUEST_RESOURCES":     compared,
	"watcher: chunk cluster":                     compared,
	"watcher: end cluster":                       compared,
	"watcher: chunk content":                     compared,
	"watcher: end content":                       compared,
	"watcher: remove KS_DESTINATION":             left,

	"router: store KS_LIVE":            loaded,
	"router: store a batch in KS_LIVE": loaded,
	"router: letter router":            intruded,

	"stream: store KS_WRITE":            loaded,
	"stream: store a batch in KS_WRITE": compared,
	"stream: put KS_PHASE":              compared,
	"stream: letter stream":             intruded,

	"reconciler: put KS_PHASE":              compared,
	"reconciler: acknowledge REQUEST_RUN":   compared,
	"reconciler: ask REQUEST_CLUSTER_STATE": compared,
	"reconciler: ask REQUEST_RESOURCES":     compared,
	"reconciler: chunk result":              compared,
	"reconciler: end result":                compared,
	"reconciler: end run":                   compared,
	"reconciler: purge KS_SNAP":             compared,
	"reconciler: purge KS_CTL":              compared,
	"reconciler: purge KS_EVENTS":           left,
	"reconciler: purge KS_LIVE":             left,
	"reconciler: purge KS_WRITE":            left,
	"reconciler: remove KS_PHASE":           left,
	"reconciler: remove KS_STATUS":          left,
	"reconciler: store KS_LIVE":             left,

	"git-writer: push the remote":   loaded,
	"git-writer: put KS_CURSOR":     loaded,
	"git-writer: put KS_STATUS":     loaded,
	"git-writer: chunk repo":        compared,
	"git-writer: end repo":          compared,
	"git-writer: ask REQUEST_RUN":   rewritten,
	"git-writer: letter git-writer": intruded,
}

// elsewhere says where it is tested what a point leaves that this load does not reach.
var elsewhere = map[string]string{
	"watcher: put KS_CREDENTIAL":          "TestSealedSecret, TestSealedAnew: it reads the Secret at each start",
	"watcher: remove KS_CREDENTIAL":       "TestSealingEnds: so it does what is not needed any more",
	"watcher: letter watcher":             "TestPoison: what came before a bookmark comes again, and is one letter",
	"watcher: acknowledge REQUEST_OBJECT": "TestWatcherAnswersObject: it is answered again, as it is by then",
	"reconciler: put KS_LAG":              "TestLagIsCounted: nothing goes by it, and it is counted again within half a minute",
	"reconciler: remove KS_LAG":           "TestLagIsCounted: so it is removed",
	"git-writer: put KS_PHASE":            "TestDeadRemote: a backlog would have to fill KS_WRITE, and the gap stands in the hint",
	"stream: ask REQUEST_RUN":             "TestStreamLogWentBack, TestLogsMadeAnew: versions are lost with a log",
	"reconciler: end content":             "TestReconcilerSnapFull: the contents would have to fill 48 MiB",
}

// loaded: nothing but the load.
func loaded(*testing.T, *cell) bring { return bring{} }

// crowded: changes wait for the service.
func crowded(t *testing.T, p *cell) bring {
	t.Helper()
	return bring{provoke: func() {
		p.stand(t, p.Role)
		for n := range 20 {
			p.apply(t, configMap(p.ns, fmt.Sprint("crowd-", n), "1"))
		}
		p.goOn(p.Role)
	}}
}

// started: the service starts.
func started(_ *testing.T, p *cell) bring {
	return bring{provoke: func() { p.again(p.whole, p.Role) }}
}

// compared: somebody else has changed the folder, and there is a run, which brings each
// kind of result.
func compared(t *testing.T, p *cell) bring {
	t.Helper()
	for _, name := range raced {
		p.apply(t, configMap(p.ns, name, "1"))
	}
	p.landed(t, p.ns)
	p.others.pull(t)
	dir := "live/" + p.ns + "/configmaps/"
	p.others.remove(t, dir+"missing.yaml")
	p.others.disfigure(t, map[string]string{dir + "different.yaml": "data: {value: theirs}\n", dir + "orphan.yaml": configMap(p.ns, "orphan", "0")})
	p.others.push(t)
	before := p.now(t)
	return bring{
		provoke: func() { p.ask(t, reasons[int(p.lot())%len(reasons)]) },
		done:    func() { p.closed(t, before.Run) },
	}
}

// respecified: what a destination says is another.
func respecified(t *testing.T, p *cell) bring {
	t.Helper()
	before := p.now(t)
	return bring{
		provoke: func() {
			p.interval = map[string]string{"0s": "9000h", "9000h": "0s"}[p.interval]
			p.mirror(t, p.mirrors()...)
			p.again(p.whole, "watcher")
		},
		done: func() { p.closed(t, before.Run) },
	}
}

// intruded: somebody has published what nobody can read, where the service reads.
func intruded(t *testing.T, p *cell) bring {
	t.Helper()
	part := subject.Part("e2e", "", "configmaps")
	stream, subj, owner := "", "", "" // whose newest message says how far its input was consumed
	switch p.Role {
	case "router":
		stream, subj = subject.Events, subject.EventChange(part, "e2e", "", "strangers", p.ns)
	case "stream":
		stream, subj, owner = subject.Live, subject.LiveData(part, p.key), subject.LivePart(part)
	case "git-writer":
		d, _, err := p.destinations.Newest(within(t, stepLimit), subject.DestinationToken(p.key))
		must(t, err)
		stream, subj, owner = subject.Write, subject.WriteData(d.BranchKey, p.key), subject.WriteDestination(p.key)
	}
	nc, err := natsgo.Connect(p.nats)
	must(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	must(t, err)
	return bring{provoke: func() {
		must(t, harness.Poll(within(t, stepLimit), time.Millisecond, "a stranger's message to be stored", func(ctx context.Context) error {
			m, opts := &natsgo.Msg{Subject: subj, Header: natsgo.Header{event.HeaderKind: {"strange"}}}, []jetstream.PublishOpt{}
			if owner != "" {
				last, err := p.bus.LastFor(ctx, stream, owner)
				if err != nil {
					return err
				}
				for _, h := range []string{event.HeaderCursor, event.HeaderState} {
					m.Header[h] = last.Header[h]
				}
				opts = append(opts, jetstream.WithExpectLastSequenceForSubject(last.Seq, owner))
			}
			_, err := js.PublishMsg(ctx, m, opts...)
			return err
		}))
	}}
}

// rewritten: somebody has rewritten the newest commit of the branch, so that it is another.
func rewritten(t *testing.T, p *cell) bring {
	t.Helper()
	p.landed(t, p.ns)
	before := p.now(t)
	return bring{
		provoke: func() {
			must(t, harness.Poll(within(t, stepLimit), time.Millisecond, "the newest commit to be rewritten", func(context.Context) (err error) {
				p.paused(t, "git-writer", func() {
					p.others.pull(t)
					p.others.git(t, "commit", "-q", "--amend", "--no-edit", "--reset-author")
					_, err = gittest.Git(p.others.clone, "push", "-q", "--force-with-lease", "origin", harness.Branch)
				})
				return err
			}))
		},
		done: func() { p.closed(t, before.Run) },
	}
}

// typed: at its start the watcher finds a type that it has never listed, and an object
// of it.
func typed(t *testing.T, p *cell) bring {
	t.Helper()
	return bring{provoke: func() {
		p.running["watcher"].Kill()
		p.define(t, p.ns)
		p.apply(t, sample(sampleThing, p.ns, 1))
		p.start(p.whole, "watcher")
	}}
}

// untyped: a type is not served any more, and its watch has ended when the watcher looks
// which there are.
func untyped(t *testing.T, p *cell) bring {
	t.Helper()
	p.define(t, p.ns)
	p.apply(t, sample(sampleThing, p.ns, 1))
	p.settle(t, scope())
	return bring{provoke: func() {
		p.remove(t, sample(sampleDefinition, p.ns, 0))
		await(t, "the watch of the type to end", func() bool {
			if p.reached() { // it looked by itself meanwhile
				return true
			}
			for line := range strings.Lines(string(p.running["watcher"].Output())) {
				if strings.Contains(line, "type is no longer served") && strings.Contains(line, groupOf(p.ns)) {
					return true
				}
			}
			return false
		})
		p.define(t, p.ns+"-more") // so it looks
	}}
}

// left: a destination is not any more.
func left(t *testing.T, p *cell) bring {
	t.Helper()
	more := mirror{"of-" + p.ns, []string{p.ns}}
	p.mirror(t, p.mirrors(more)...)
	p.again(p.whole, "watcher")
	p.key = keyOf(more.name)
	p.closed(t, "")
	p.landed(t, p.ns)
	p.key = keyOf("live")
	return bring{
		provoke: func() {
			p.mirror(t, p.mirrors()...)
			p.again(p.whole, "watcher")
		},
		done: func() {
			p.key = keyOf(more.name)
			p.gone(t)
			p.key = keyOf("live")
		},
	}
}
