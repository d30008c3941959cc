package bench

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// traffic counts what goes over a bus, in bytes with headers and subjects.
type traffic struct {
	published atomic.Int64 // to streams and buckets
	answers   atomic.Int64 // to those who asked: what is read from them, above all
}

func (t *traffic) follow(nc *nats.Conn) error {
	s, err := nc.Subscribe(">", func(m *nats.Msg) {
		switch {
		case strings.HasPrefix(m.Subject, "ks."), strings.HasPrefix(m.Subject, "$KV."):
			t.published.Add(int64(m.Size()))
		case strings.HasPrefix(m.Subject, "_INBOX."):
			t.answers.Add(int64(m.Size()))
		}
	})
	if err == nil {
		err = s.SetPendingLimits(-1, -1)
	}
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		return fmt.Errorf("watching the bus: %w", err)
	}
	return nil
}
