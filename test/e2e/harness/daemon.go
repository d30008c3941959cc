package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Daemon is a program of kubescribe's that runs until it is stopped and answers
// on an address of its own.
type Daemon struct {
	*Process
	URL string // of /healthz, /readyz and /metrics
}

// pollStart is how often the log of a program that starts is looked at.
const pollStart = 10 * time.Millisecond

// StartDaemon starts a program that was told --listen 127.0.0.1:0, and returns
// once its log says on which address it answers.
func StartDaemon(ctx context.Context, c Command) (*Daemon, error) {
	p, err := StartProcess(c)
	if err != nil {
		return nil, err
	}
	d := &Daemon{Process: p}
	err = Poll(ctx, pollStart, c.Program+" to say where it listens", func(context.Context) error {
		select {
		case <-p.Exited():
			return nil
		default:
		}
		address, ok := listening(p.Output())
		if !ok {
			return errors.New("its log does not say it")
		}
		d.URL = "http://" + address
		return nil
	})
	if err == nil && d.URL == "" {
		err = fmt.Errorf("%s ended at once", c.Program)
	}
	if err != nil {
		p.Kill()
		return nil, fmt.Errorf("%w; its log ends with:\n%s", err, p.Tail(20))
	}
	return d, nil
}

// listening finds the address in a log of JSON lines.
func listening(log []byte) (string, bool) {
	for line := range bytes.Lines(log) {
		var record struct{ Listen string }
		if bytes.HasSuffix(line, []byte("\n")) && json.Unmarshal(line, &record) == nil && record.Listen != "" {
			return record.Listen, true
		}
	}
	return "", false
}

// Get asks the daemon for /healthz, /readyz or /metrics.
func (d *Daemon) Get(ctx context.Context, path string) (code int, body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL+path, nil)
	if err != nil {
		return 0, "", err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }() // only read
	b, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(b), err
}

// AwaitReady waits until /readyz says ok. It does not wait for one that has ended.
func (d *Daemon) AwaitReady(ctx context.Context) error {
	ended := false
	err := Poll(ctx, 50*time.Millisecond, d.Name+" to be ready", func(ctx context.Context) error {
		select {
		case <-d.Exited():
			ended = true
			return nil
		default:
		}
		code, body, err := d.Get(ctx, "/readyz")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("%d %s", code, body)
		}
		return err
	})
	if ended {
		err = fmt.Errorf("%s ended before it was ready; its log ends with:\n%s", d.Name, d.Tail(20))
	}
	return err
}
