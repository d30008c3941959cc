package e2e_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// TestTerminal: on a terminal the log is for people, a line below it says how
// things stand, and Ctrl-C is a clean stop that takes the line away.
func TestTerminal(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "terminal")
	w.options.Args = []string{"--namespace", ns}
	// What an earlier command began and never finished is no matter of this one.
	repo := w.options.Repo
	w.options.Repo = strings.Replace(repo, "live.git", "other.git", 1)
	before := w.start(t)
	await(t, "a run to begin", func() bool { return strings.Contains(string(before.Output()), "run begun") })
	before.Kill()
	w.options.Repo = repo

	cmd, err := w.options.Command().Exec()
	must(t, err)
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 250})
	must(t, err)
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // if it has not stopped
		_ = tty.Close()
	})
	var screen transcript
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&screen, tty) // until the program is gone, which reads as an error
	}()
	shows := func(line string) func() bool {
		return func() bool { return strings.Contains(screen.String(), "\r\x1b[K"+line) }
	}
	await(t, "a line to say that nothing is there yet", shows("LIVE_PROCESSING  pending 0  no commit yet"))
	w.apply(t, configMap(ns, "settings", "x"))
	w.settle(t, scope(ns))
	await(t, "a line to tell of the commit", shows(fmt.Sprintf("LIVE_PROCESSING  pending 0  last commit %.8s %q ", w.tip(t), "Create configmaps "+ns+"/settings")))

	_, err = tty.Write([]byte("\x03"))
	must(t, err)
	context.AfterFunc(within(t, stopLimit), func() { _ = cmd.Process.Kill() })
	if err := cmd.Wait(); err != nil {
		t.Errorf("Ctrl-C: %v", err)
	}
	<-read
	said := screen.String()
	t.Log(said)
	checkNoPassword(t, "the terminal", said)
	if strings.Contains(said, `{"time"`) {
		t.Error("the log on a terminal is JSON")
	}
	_, last, _ := strings.Cut(said[strings.LastIndex(said, "LIVE_PROCESSING"):], "\x1b[K")
	if !strings.Contains(last, "kubescribe has stopped") {
		t.Errorf("it ends with %q", last)
	}
}
