package e2e_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/demo"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// demoMedian is what the demonstration's median must be below here, whatever else
// the machine does: a guard against regressions, not the target.
const demoMedian = time.Second

// TestDemoKept: the demonstration keeps all that it says it keeps until it is told
// to go, which leaves nothing behind.
func TestDemoKept(t *testing.T) {
	long(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out transcript
	ended := make(chan error, 1)
	go func() { ended <- demo.Run(ctx, demo.Options{Keep: true}, &out) }()
	await(t, "the demonstration to be left running", func() bool {
		if len(ended) > 0 {
			t.Fatalf("it ended: %v\n%s", <-ended, out.String())
		}
		return strings.Contains(out.String(), "Ctrl-C stops")
	})
	said := out.String()
	t.Log(said)

	checkSummary(t, said)
	kubeconfig := one(t, said, `export KUBECONFIG=(\S+)`)
	addresses := []string{one(t, said, `git clone (\S+)`), one(t, said, `curl (\S+)/readyz`)}
	if _, err := os.Stat(kubeconfig); err != nil {
		t.Error(err)
	}
	for _, address := range addresses {
		if err := dial(t, address); err != nil {
			t.Error(err)
		}
	}
	clone := filepath.Join(t.TempDir(), "clone")
	_, err := gittest.Git(t.TempDir(), "clone", "-q", addresses[0], clone)
	must(t, err)
	encrypted, err := os.ReadFile(filepath.Join(clone, one(t, said, `sops --decrypt (\S+)`)))
	must(t, err)
	plain, err := harness.Decrypt(bins, one(t, said, `SOPS_AGE_KEY_FILE=(\S+) sops`), string(encrypted))
	must(t, err)
	if want := base64.StdEncoding.EncodeToString([]byte("correct-horse-battery-staple")); !strings.Contains(plain, "password: "+want) {
		t.Errorf("it decrypts to\n%s", plain)
	}
	if code, got := runToEnd(t, "get", "--data-dir", one(t, said, `kubescribe get --data-dir (\S+)`)); code != 0 || !strings.Contains(got, "LIVE_PROCESSING") {
		t.Errorf("kubescribe get ends with %d: %s", code, got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(kubeconfig); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", kubeconfig, err)
	}
	for _, address := range addresses {
		if dial(t, address) == nil {
			t.Errorf("%s answers still", address)
		}
	}
}

// TestDemoEnds: by itself it ends well, and nothing of it is left.
func TestDemoEnds(t *testing.T) {
	var out transcript
	err := demo.Run(t.Context(), demo.Options{}, &out)
	t.Log(out.String())
	must(t, err)
	checkSummary(t, out.String())
	if !strings.Contains(out.String(), "make demo KEEP=1") {
		t.Error("it does not say that the key is gone, and how to keep it")
	}
	if address := one(t, out.String(), `repository at (\S+)`); dial(t, address) == nil {
		t.Errorf("%s answers still", address)
	}
}

// checkSummary checks that every change is told of as a commit of its own, that
// they were fast enough, and that Git ended equal to the cluster.
func checkSummary(t *testing.T, said string) {
	t.Helper()
	if first := one(t, said, `(?m)^  one commit: [0-9a-f]{7}  (.*); the others' files stand`); !strings.Contains(first, "5 deleted") {
		t.Errorf("the start's commit is %q", first)
	}
	made, err := strconv.Atoi(one(t, said, `(?m)^(\d+) changes, each its own commit`))
	must(t, err)
	if landed := len(regexp.MustCompile(`(?m)^ +\d+ ms  [0-9a-f]{7}  `).FindAllString(said, -1)); made < 20 || landed != made {
		t.Errorf("%d commits landed of %d changes", landed, made)
	}
	median, err := time.ParseDuration(one(t, said, `branch: median (\S+), p90 `))
	if err != nil || median <= 0 || median >= demoMedian {
		t.Errorf("the median is %s, %v", median, err)
	}
	if _, rest, _ := strings.Cut(said, "p90"); !strings.Contains(rest, "Git equals the cluster: ") {
		t.Error("it does not say that Git ends equal to the cluster")
	}
}

// one is what a pattern's group matches in a text.
func one(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%s is not in\n%s", pattern, text)
	}
	return m[1]
}

// dial finds out whether anybody listens at a URL.
func dial(t *testing.T, address string) error {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	c, err := new(net.Dialer).DialContext(within(t, stepLimit), "tcp", u.Host)
	if err == nil {
		_ = c.Close()
	}
	return err
}

// transcript is a text that is read while it is being written.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
