package service

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

func TestLoggerWritesJSONToNoTerminal(t *testing.T) {
	var out bytes.Buffer
	log := NewLogger(&out, slog.LevelInfo)
	log.Debug("left out")
	log.Info("run begun", "destination", "prod/gitops/live")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%q is not one JSON line: %v", out.String(), err)
	}
	if line["msg"] != "run begun" || line["destination"] != "prod/gitops/live" || line["level"] != "INFO" {
		t.Errorf("the line is %v", line)
	}
}

func TestIsTerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	if IsTerminal(w) || IsTerminal(&bytes.Buffer{}) {
		t.Error("a pipe or a buffer passes for a terminal")
	}
}

// TestGarbage: less of it than Go lets grow, unless GOGC says how much.
func TestGarbage(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	for set, want := range map[int]int{100: goGC, 80: 80, 400: 400, -1: -1} {
		debug.SetGCPercent(set)
		neverBuilt(t, io.Discard, "--help").Main(t.Context())
		if got := debug.SetGCPercent(100); got != want {
			t.Errorf("with GOGC=%d it is %d, want %d", set, got, want)
		}
	}
}

// neverBuilt is a process whose role must not come to be.
func neverBuilt(t *testing.T, stderr io.Writer, args ...string) Process {
	return Process{
		Name: "router", Args: args, Stderr: stderr,
		Flags: func(fs *flag.FlagSet) { fs.String("cluster", "", "`name` of the cluster") },
		Build: func(context.Context, Env) (Role, error) {
			t.Error("the role was built")
			return Role{}, errors.New("built")
		},
	}
}

func TestMainUsage(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"unknown flag":   {[]string{"--frobnicate"}, ExitUsage, "frobnicate"},
		"missing value":  {[]string{"--nats"}, ExitUsage, "nats"},
		"wrong value":    {[]string{"--verbose=maybe"}, ExitUsage, "verbose"},
		"empty URL":      {[]string{"--nats", ""}, ExitUsage, "--nats is empty"},
		"empty cluster":  {[]string{"--cluster", ""}, ExitUsage, "--cluster is empty"},
		"no address":     {[]string{"--listen", "here"}, ExitUsage, "--listen here"},
		"no port":        {[]string{"--listen", ":99999"}, ExitUsage, "--listen :99999"},
		"unknown port":   {[]string{"--listen", "127.0.0.1:http-alt-alt"}, ExitUsage, "http-alt-alt"},
		"unknown host":   {[]string{"--listen", "no.such.host.invalid:80"}, ExitUsage, "no.such.host.invalid"},
		"no creds file":  {[]string{"--nats-creds", "/no/such/file"}, ExitUsage, "--nats-creds: reading NATS credentials: open /no/such/file"},
		"an argument":    {[]string{"now"}, ExitUsage, `"now"`},
		"argument later": {[]string{"--listen", "127.0.0.1:0", "now"}, ExitUsage, "router --help"},
		"-h":             {[]string{"-h"}, ExitOK, "-listen"},
		"--help":         {[]string{"--help"}, ExitOK, "-cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if code := neverBuilt(t, &out, tt.args...).Main(t.Context()); code != tt.code {
				t.Errorf("%v ends with %d, want %d", tt.args, code, tt.code)
			}
			if !strings.Contains(out.String(), tt.says) {
				t.Errorf("%v says %q, want something about %s", tt.args, out.String(), tt.says)
			}
		})
	}
}

// started is a process in this one: what it logs, line by line, and how it ended.
type started struct {
	lines  chan string
	code   chan int
	cancel context.CancelFunc
}

func start(t *testing.T, args ...string) *started {
	t.Helper()
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	s := &started{lines: make(chan string, 1000), code: make(chan int, 1), cancel: cancel}
	go func() {
		defer close(s.lines)
		for in := bufio.NewScanner(r); in.Scan(); {
			s.lines <- in.Text()
		}
	}()
	go func() {
		s.code <- neverBuilt(t, w, args...).Main(ctx)
		_ = w.Close()
	}()
	t.Cleanup(cancel)
	return s
}

// listens waits for the line that tells where the admin server is.
func (s *started) listens(t *testing.T) net.Addr {
	t.Helper()
	for line := range s.lines {
		var got struct{ Msg, Listen string }
		if json.Unmarshal([]byte(line), &got) == nil && got.Listen != "" {
			addr, err := net.ResolveTCPAddr("tcp", got.Listen)
			if err != nil {
				t.Fatal(err)
			}
			return addr
		}
	}
	t.Fatal("it ended without saying where it listens")
	return nil
}

func (s *started) ends(t *testing.T) int {
	t.Helper()
	select {
	case code := <-s.code:
		return code
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
		return -1
	}
}

// closedPort is an address nobody listens on.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// TestMainWaitsForNATS: a process whose bus cannot be reached lives, says what it
// waits for, and ends well when it is told to.
func TestMainWaitsForNATS(t *testing.T) {
	nats := closedPort(t)
	s := start(t, "--listen", "127.0.0.1:0", "--nats", "nats://"+nats)
	addr := s.listens(t)
	if code, _ := get(t, addr, "/healthz"); code != http.StatusOK {
		t.Errorf("/healthz answers %d", code)
	}
	code, body := get(t, addr, "/readyz")
	if code != http.StatusServiceUnavailable || !strings.HasPrefix(body, "router: connecting to NATS") || !strings.Contains(body, nats) {
		t.Errorf("/readyz answers %d %q", code, body)
	}
	s.cancel()
	if code := s.ends(t); code != ExitOK {
		t.Errorf("told to stop, it ended with %d", code)
	}
}

// TestMainKeepsSecrets: credentials in the URL are refused, and shown nowhere.
func TestMainKeepsSecrets(t *testing.T) {
	s := start(t, "--listen", "127.0.0.1:0", "--nats", "nats://joe:s3cret@"+closedPort(t))
	var all strings.Builder
	for line := range s.lines {
		all.WriteString(line)
	}
	if code := s.ends(t); code != ExitUsage {
		t.Errorf("it ended with %d", code)
	}
	for _, secret := range []string{"s3cret", "joe"} {
		if strings.Contains(all.String(), secret) {
			t.Errorf("the log shows %q: %s", secret, all.String())
		}
	}
	if !strings.Contains(all.String(), "credentials") {
		t.Errorf("the log does not say what is wrong: %s", all.String())
	}
}

func TestMainListenInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	var out bytes.Buffer
	code := neverBuilt(t, &out, "--listen", l.Addr().String(), "--nats", "nats://"+closedPort(t)).Main(t.Context())
	if code != ExitError || !strings.Contains(out.String(), "--listen") {
		t.Errorf("it ended with %d: %s", code, out.String())
	}
}

func TestPending(t *testing.T) {
	connecting, verifying, lagging := errors.New("connecting"), errors.New("verifying"), errors.New("lagging")
	p := &pending{why: connecting}
	if err := p.Ready(); !errors.Is(err, connecting) {
		t.Error(err)
	}
	p.wait(verifying)
	if err := p.Ready(); !errors.Is(err, verifying) {
		t.Error(err)
	}
	var ready error
	p.become(func() error { return ready })
	if err := p.Ready(); err != nil {
		t.Error(err)
	}
	if ready = lagging; !errors.Is(p.Ready(), lagging) {
		t.Error("the role's own readiness is not asked")
	}
}
