package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// MaxPayload is the largest message the install stores, in bytes: the largest
// object an API server takes is about 1.5 MiB. The NATS server's own
// max_payload must not be below it.
const MaxPayload = 4 << 20

// ErrNotProvisioned says that the server holds no install.
var ErrNotProvisioned = errors.New("no kubescribe streams on this NATS server: provision it first")

// Install identifies the streams of one install. It stands in the metadata of
// each of them.
type Install struct {
	// Incarnation changes when the streams are made anew: sequences of another
	// incarnation mean nothing.
	Incarnation string
}

const (
	metaIncarnation = "kubescribe.dev/incarnation"
	metaParts       = "kubescribe.dev/parts"
	metaLive        = "kubescribe.dev/live-shards"
	metaWrite       = "kubescribe.dev/write-shards"
)

func (i Install) metadata() map[string]string {
	return map[string]string{
		metaIncarnation: i.Incarnation,
		metaParts:       strconv.Itoa(subject.Parts),
		metaLive:        strconv.Itoa(subject.LiveShards),
		metaWrite:       strconv.Itoa(subject.WriteShards),
	}
}

// Options are what an install may choose.
type Options struct {
	Replicas int   // 1 or 3; 0: as many as an install has that is there, and 1 of a new one
	MaxBytes int64 // of each of EVENTS, LIVE and WRITE; 0 is 1 GiB, or what a limit was raised to
}

// streams is what an install consists of, beside its buckets.
func streams(o Options, meta map[string]string) []jetstream.StreamConfig {
	big := o.MaxBytes
	if big == 0 {
		big = 1 << 30
	}
	// Changes, checkpoints and fences: nothing ever leaves them by age. A full
	// stream refuses what is new, so that its writer stalls and nothing is lost.
	log := func(name, subjects string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name, Subjects: []string{subjects}, Metadata: meta, Replicas: o.Replicas,
			Storage:   jetstream.FileStorage, // uncompressed: see ADR 17
			Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
			MaxBytes: big, MaxMsgSize: MaxPayload, Duplicates: 10 * time.Minute,
			AllowRollup: true, AllowDirect: true,
		}
	}
	// One message a subject: saying it twice is saying it once.
	once := func(name, subjects string, bytes int64) jetstream.StreamConfig {
		c := log(name, subjects)
		c.MaxBytes, c.MaxMsgsPerSubject, c.DiscardNewPerSubject, c.AllowRollup = bytes, 1, true, false
		return c
	}
	events, live, write := log(subject.Events, subject.AllEvents), log(subject.Live, subject.AllLive), log(subject.Write, subject.AllWrite)
	events.AllowAtomicPublish, live.AllowAtomicPublish, write.AllowAtomicPublish = true, true, true
	snap := once(subject.Snap, subject.AllSnap, 512<<20)
	snap.MaxAge = 24 * time.Hour
	ctl := once(subject.Ctl, subject.AllCtl, 64<<20)
	ctl.Retention, ctl.AllowDirect = jetstream.WorkQueuePolicy, false
	return []jetstream.StreamConfig{
		events, live, write, snap, ctl,
		once(subject.DLQ, subject.AllDLQ, 64<<20),
	}
}

// buckets is the history that each key-value bucket keeps.
var buckets = map[string]uint8{
	subject.BucketDestination: 1,
	subject.BucketCredential:  1,
	subject.BucketPhase:       10,
	subject.BucketLease:       1,
	subject.BucketCursor:      1,
	subject.BucketStatus:      1,
	subject.BucketLag:         1,
}

// Provision makes the install's streams and buckets where there are none, and
// brings the settings of those that are there up to date; a limit that somebody has
// raised stays. It may be called again at any time. It never makes a missing stream of an install that exists:
// what the others remember of it would be wrong, so it says so instead.
func (b *Bus) Provision(ctx context.Context, o Options) error {
	install, standing, err := b.installed(ctx)
	if err != nil {
		return err
	}
	if len(standing) == 0 {
		// A crash from here on leaves fewer streams than an install has, all of
		// them empty: the next call begins again (see installed).
		install = Install{Incarnation: nuid.Next()}
	}
	o.Replicas = cmp.Or(o.Replicas, standing[subject.Events].Replicas, 1)
	for _, c := range streams(o, install.metadata()) {
		if o.MaxBytes == 0 {
			c.MaxBytes = max(c.MaxBytes, standing[c.Name].MaxBytes)
		}
		if _, err := b.js.CreateOrUpdateStream(ctx, c); err != nil {
			return fmt.Errorf("provisioning stream %s: %w", c.Name, err)
		}
	}
	for name, history := range buckets {
		cfg := jetstream.KeyValueConfig{
			Bucket: name, History: history, Replicas: o.Replicas, Storage: jetstream.FileStorage, Metadata: install.metadata(),
		}
		if name == subject.BucketLease {
			cfg.LimitMarkerTTL = leaseTTL // so that keys may have a time to live
		}
		if _, err := b.js.CreateOrUpdateKeyValue(ctx, cfg); err != nil {
			return fmt.Errorf("provisioning bucket %s: %w", name, err)
		}
	}
	return b.Verify(ctx)
}

// Verify checks that the server holds a whole install with this program's
// numbers of parts and shards, and remembers it. It changes nothing.
func (b *Bus) Verify(ctx context.Context) error {
	install, standing, err := b.installed(ctx)
	if err != nil {
		return err
	}
	if len(standing) == 0 {
		return ErrNotProvisioned
	}
	for name := range buckets {
		_, err := b.js.KeyValue(ctx, name)
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			return fmt.Errorf("bucket %s is missing, as it is in an install of an older version: provision it again", name)
		}
		if err != nil {
			return fmt.Errorf("opening bucket %s: %w", name, err)
		}
	}
	b.Install = install
	return nil
}

// installEvery is how often a program looks whether its install is still the one that it found.
const installEvery = 5 * time.Second

// Watch returns nil once ctx ends, or before that an error where another install is in the place of
// the one that was verified: all was lost and made anew. What this program knows is of the former
// one, and would come to nothing in the new one, without anybody being told. While there is none,
// or it cannot be read, it goes on.
func (b *Bus) Watch(ctx context.Context) error {
	for fault.Wait(ctx, installEvery) == nil {
		s, err := b.js.Stream(ctx, subject.Events)
		if err != nil {
			continue // who reads and writes says so
		}
		if now := s.CachedInfo().Config.Metadata[metaIncarnation]; now != b.Install.Incarnation {
			return fault.As(fault.Terminate, fmt.Errorf("the install on this NATS server was made anew: it is %s, and was %s when this program started; start it again", now, b.Install.Incarnation))
		}
	}
	return nil
}

// installed reads the install from the streams' metadata, and how they are set. There are
// none when there is no install, or when a first provisioning was cut short before
// anything was stored; then making the rest is safe.
func (b *Bus) installed(ctx context.Context) (install Install, standing map[string]jetstream.StreamConfig, err error) {
	var missing []string
	standing = map[string]jetstream.StreamConfig{}
	used := false
	for _, c := range streams(Options{Replicas: 1}, nil) {
		s, err := b.js.Stream(ctx, c.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			missing = append(missing, c.Name)
			continue
		}
		if err != nil {
			return Install{}, nil, fmt.Errorf("reading stream %s: %w", c.Name, err)
		}
		info := s.CachedInfo()
		got := Install{Incarnation: info.Config.Metadata[metaIncarnation]}
		if got.Incarnation == "" {
			return Install{}, nil, fault.As(fault.Terminate, fmt.Errorf("stream %s was not made by kubescribe: use another NATS account", c.Name))
		}
		if len(standing) > 0 && got != install {
			return Install{}, nil, fault.As(fault.Terminate, fmt.Errorf(
				"stream %s belongs to install %s, the others to %s: two installs share this NATS account; give each its own", c.Name, got.Incarnation, install.Incarnation))
		}
		install = got
		if err := sameShards(c.Name, info.Config.Metadata, install.metadata()); err != nil {
			return Install{}, nil, err
		}
		standing[c.Name] = info.Config
		used = used || info.State.LastSeq > 0
	}
	if len(standing) == 0 || len(missing) == 0 {
		return install, standing, nil
	}
	if !used {
		return Install{}, nil, nil
	}
	return Install{}, nil, fault.As(fault.Terminate, fmt.Errorf(
		"streams %v of install %s are gone while others remain: restore them, or remove the rest and start afresh with --adopt (Git keeps what was written)",
		missing, install.Incarnation))
}

func sameShards(stream string, got, want map[string]string) error {
	for _, k := range []string{metaParts, metaLive, metaWrite} {
		if got[k] != want[k] {
			return fault.As(fault.Terminate, fmt.Errorf("stream %s was made with %s=%s, this program has %s: run the version that made it", stream, k, got[k], want[k]))
		}
	}
	return nil
}
