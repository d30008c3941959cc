package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// answerWait bounds how long one request to the server may go unanswered.
const answerWait = 5 * time.Second

// impatient is a context under which each request of the library's is given up after answerWait, whatever
// time its caller has left. By itself the library bounds only what has no deadline of its own, so
// this one says that it has none, and ends with the other all the same. Without it an answer that was lost, as
// where a server is killed, would be waited for in the middle of a push, or of a comparison, until that is given up: minutes.
type impatient struct{ context.Context }

// Deadline is none.
func (impatient) Deadline() (deadline time.Time, ok bool) { return deadline, false }

// A server is asked to say something every pingEvery, and left for another one where it has not
// done so pingsOut times: one that has lost its power, or its cable, ends no connection, and TCP
// takes a quarter of an hour to give it up, the library by its own settings six minutes.
const (
	pingEvery = 5 * time.Second
	pingsOut  = 2
)

// Config says how to reach the NATS server.
type Config struct {
	Access
	Username  string                     // with Password, for who has it by itself; "" for what Access says
	Password  string                     //nolint:gosec // a field's name, not a secret
	InProcess nats.InProcessConnProvider // an embedded server, instead of the URL
	As        subject.User               // whose permissions are enough; "" for all of them
	Name      string                     // of the connection, as the server lists it
	Log       *slog.Logger
}

// Bus is a connection to an install's streams. It is safe for concurrent use.
type Bus struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	log     *slog.Logger
	Install Install
	FullFor time.Duration // how long a series waits for room in KS_SNAP: two minutes
	gauges  sync.Map      // *gauge by stream
	ended   sync.Map      // end by stream, for which ExtentPast has waited in vain
}

// Connect dials the server and goes on reconnecting for as long as the Bus
// lives. It returns at once when the configuration is wrong, and waits for a
// server that is not there yet until ctx ends. Install is not set until
// [Bus.Verify] or [Bus.Provision] was called.
func Connect(ctx context.Context, cfg Config) (*Bus, error) {
	log := cfg.Log
	opts := []nats.Option{
		nats.Name(cfg.Name),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // a server that restarts may not know its accounts for a moment
		nats.ReconnectWait(200 * time.Millisecond),
		nats.ReconnectJitter(200*time.Millisecond, time.Second),
		nats.PingInterval(pingEvery),
		nats.MaxPingsOutstanding(pingsOut),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("bus connection lost, reconnecting", "err", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("bus connection is back") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("bus reported an error", "err", err)
		}),
	}
	if cfg.InProcess != nil {
		opts = append(opts, nats.InProcessServer(cfg.InProcess))
	} else if err := cfg.Check(); err != nil {
		return nil, fault.As(fault.Terminate, err)
	}
	opts = append(opts, cfg.options(cfg.As, log)...)
	if cfg.Username != "" {
		opts = append(opts, nats.UserInfo(cfg.Username, cfg.Password))
	}
	if cfg.As != "" {
		opts = append(opts, nats.CustomInboxPrefix(subject.Inbox(cfg.As)))
	}
	var backoff fault.Backoff
	for {
		nc, err := nats.Connect(cfg.URL, opts...)
		if err == nil {
			return newBus(nc, log)
		}
		if errors.Is(err, nats.ErrAuthorization) {
			return nil, fault.As(fault.Terminate, fmt.Errorf("connecting to NATS at %s: the server refused the credentials: %w", cfg.URL, err))
		}
		if werr := fault.Wait(ctx, backoff.Next()); werr != nil {
			return nil, fmt.Errorf("connecting to NATS at %s: %w (%w)", cfg.URL, err, werr)
		}
		log.Warn("NATS is not reachable, retrying", "url", cfg.URL, "err", err)
	}
}

func newBus(nc *nats.Conn, log *slog.Logger) (*Bus, error) {
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(answerWait))
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return &Bus{nc: nc, js: js, log: log, FullFor: fullFor}, nil
}

// publish stores a message. An answer that does not come is waited for no longer than
// answerWait, whatever ctx allows.
func (b *Bus) publish(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	ack, err := b.js.PublishMsg(ctx, m, opts...)
	return ack, b.unanswered(err)
}

// unanswered tells why a request has no answer, where the server has said that this user may not ask
// for that: it says so, and never answers.
func (b *Bus) unanswered(err error) error {
	if last := b.nc.LastError(); err != nil && errors.Is(err, context.DeadlineExceeded) && errors.Is(last, nats.ErrPermissionViolation) {
		return fmt.Errorf("%w; what this NATS user was refused last: %w: does the server include the accounts of this version (kubescribe explain accounts)?", err, last)
	}
	return err
}

// Close flushes what is on its way out and disconnects.
func (b *Bus) Close() {
	if err := b.nc.FlushTimeout(time.Second); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		b.log.Warn("closing the bus connection", "err", err)
	}
	b.nc.Close()
}

// Ready is nil while the server can be reached.
func (b *Bus) Ready() error {
	if s := b.nc.Status(); s != nats.CONNECTED {
		return fmt.Errorf("bus connection is %s", s)
	}
	return nil
}

// Message is a stored message.
type Message struct {
	Subject string
	Seq     uint64
	Time    time.Time // when the server stored it
	Header  event.Header
	Data    []byte
	Pending uint64 // how many more the server had for this reader just then
}

// ID is what the publisher called the message: Ks-Id, else Nats-Msg-Id.
func (m Message) ID() string {
	for _, h := range []string{event.HeaderID, nats.MsgIdHdr} {
		if v := m.Header[h]; len(v) > 0 {
			return v[0]
		}
	}
	return ""
}

// Output is a message to be published.
type Output struct {
	Subject string
	Header  event.Header
	Data    []byte
}

func (o Output) msg() *nats.Msg {
	return &nats.Msg{Subject: o.Subject, Header: nats.Header(o.Header), Data: o.Data}
}
