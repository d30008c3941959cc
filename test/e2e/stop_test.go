package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestStop: SIGTERM ends kubescribe within 10 s with exit code 0, and the next
// start resumes where it stopped: with a remote that works, and with one that
// does not.
func TestStop(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "stop")
	w.options.Args = []string{"--namespace", ns}
	k := w.startReady(t)
	w.sentinel(t, ns)
	stop(t, k)

	k = w.startReady(t)
	address := strings.TrimPrefix(strings.TrimSuffix(w.remote.URL, "/live.git"), "http://")
	must(t, w.remote.Close())
	var writes []harness.Written
	for n := range 20 {
		writes = append(writes, w.apply(t, configMap(ns, "behind-a-dead-remote", fmt.Sprint(n))))
	}
	awaitNotReady(t, k, "git-writer", "branch main")
	stop(t, k)

	k = w.start(t)
	awaitNotReady(t, k, "git-writer", "branch main")
	writes = append(writes, w.apply(t, configMap(ns, "behind-a-dead-remote", "last")))
	stop(t, k)

	w.serve(t, address)
	k = w.startReady(t)
	must(t, w.awaitVersions(within(t, stepLimit), "", writes...))
	w.settle(t, scope(ns))
	report(t, harness.Versions(w.history(t), writes))
	stop(t, k)
}

// TestStopWhilePushing: a push that hangs does not hold up SIGTERM. What it
// carried is neither lost nor written twice, whether it had landed or not, and
// whether kubescribe was stopped or killed.
func TestStopWhilePushing(t *testing.T) {
	long(t)
	t.Parallel()
	for _, test := range []struct {
		name string
		hold hold
		kill bool
	}{
		{"stopped before it landed", beforeLanding, false},
		{"stopped after it landed", afterLanding, false},
		{"killed before it landed", beforeLanding, true},
		{"killed after it landed", afterLanding, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, cluster)
			ns := w.namespace(t, "hang")
			w.options.Args = []string{"--namespace", ns}
			k := w.startReady(t)
			w.sentinel(t, ns)
			before := w.count(t)

			open := w.gate.close(test.hold)
			t.Cleanup(open)
			var writes []harness.Written
			for n := range 10 {
				writes = append(writes, w.apply(t, configMap(ns, "in-the-hanging-push", fmt.Sprint(n))))
			}
			await(t, "a push to hang", func() bool { return w.gate.holds() > 0 })
			if landed := w.count(t) > before; landed != (test.hold == afterLanding) {
				t.Errorf("the push that hangs has landed: %v", landed)
			}
			if test.kill {
				k.Kill()
			} else {
				stop(t, k)
			}
			open()

			w.startReady(t)
			must(t, w.awaitVersions(within(t, stepLimit), "", writes...))
			w.sentinel(t, ns)
			w.settle(t, scope(ns))
			report(t, harness.Versions(w.history(t), writes))
		})
	}
}

// TestStopEarly: a start that is stopped at once, or killed, leaves nothing that
// the next one cannot go on from.
func TestStopEarly(t *testing.T) {
	long(t)
	w := newWorld(t, cluster)
	ns := w.namespace(t, "early")
	w.fill(t, ns, 300)
	for _, when := range []struct {
		word string // in the log
		kill bool
	}{
		{"run begun", true}, // which is so at the first start alone
		{"kubescribe is running", true},
		{"kubescribe is running", false},
		{"capturing", true},
		{"capturing", false},
		{`"msg":"writing"`, true},
		{`"msg":"writing"`, false},
		{`"msg":"pushed"`, true},
		{`"msg":"pushed"`, false},
	} {
		w.apply(t, configMap(ns, "something-to-push", fmt.Sprint(when)))
		k := w.start(t)
		await(t, when.word, func() bool { return strings.Contains(string(k.Output()), when.word) })
		if when.kill {
			k.Kill()
		} else {
			stop(t, k)
		}
	}
	w.startReady(t)
	w.settle(t, scope())
	w.sentinel(t, ns)
	w.settle(t, scope())
	w.history(t)
}

// TestStopWhileStarting: SIGTERM before kubescribe is up is a clean stop too, and
// what such a start has made of the data directory serves the next one.
func TestStopWhileStarting(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "starting")
	w.options.Args = []string{"--namespace", ns, "--verbose"}
	for _, word := range []string{`"msg":"starting"`, "Starting JetStream", "Server is ready"} {
		p, err := harness.StartProcess(w.options.Command())
		must(t, err)
		watchOver(t, p)
		await(t, word, func() bool { return strings.Contains(string(p.Output()), word) })
		_, err = p.Terminate(within(t, stopLimit))
		must(t, err)
	}
	w.startReady(t)
	w.sentinel(t, ns)
}

// TestStopAtOnce: whoever cannot wait for an orderly stop says so again.
func TestStopAtOnce(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "at-once")
	w.options.Args = []string{"--namespace", ns, "--verbose"}
	k := w.startReady(t)
	w.sentinel(t, ns)
	t.Cleanup(w.gate.close(beforeLanding))
	w.apply(t, configMap(ns, "in-the-hanging-push", "x"))
	await(t, "a push to hang", func() bool { return w.gate.holds() > 0 })

	must(t, k.Signal(syscall.SIGINT))
	await(t, "the stop to begin", func() bool { return strings.Contains(string(k.Output()), "role stopped") })
	must(t, k.Signal(syscall.SIGINT))
	if code, err := k.Exit(within(t, stopLimit)); code != -1 || err != nil {
		t.Errorf("a second interrupt did not end it, but it exited with %d, %v", code, err)
	}
}

// awaitNotReady waits until /readyz answers 503 with all of these words.
func awaitNotReady(t *testing.T, k *harness.Daemon, words ...string) string {
	t.Helper()
	var why string
	must(t, harness.Poll(within(t, stepLimit), 50*time.Millisecond, fmt.Sprintf("/readyz to say %q", words), func(ctx context.Context) error {
		code, body, err := k.Get(ctx, "/readyz")
		if err != nil {
			return err
		}
		why = body
		if code != http.StatusServiceUnavailable {
			return fmt.Errorf("it says %d %s", code, body)
		}
		for _, word := range words {
			if !strings.Contains(body, word) {
				return errors.New("it says " + body)
			}
		}
		return nil
	}))
	checkNoPassword(t, "/readyz", why)
	return why
}
