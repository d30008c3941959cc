package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestRacesOfDestinations has the cluster change at each instant from the registering
// of a destination to the end of its first run, kills somebody, and then removes the
// destination at an instant of another run. It has each version since it registered,
// once; what it leaves on the bus when it goes is nothing; and its neighbour notices
// neither.
func TestRacesOfDestinations(t *testing.T) {
	long(t)
	r := newRaces(t)
	type stay struct {
		race         // while it comes
		goes instant // when it is removed
	}
	var all []stay
	for n, at := range append([]instant{{name: "registered", stands: []string{"reconciler"}}}, instants...) {
		comes := race{at, happenings[n%(len(happenings)-1)], victims[n%len(victims)], reasons[n%len(reasons)]}
		all = append(all, stay{comes, instants[(n+len(instants)/2)%len(instants)]})
	}
	for n, stay := range draw(t, all) {
		t.Run(stay.name(), func(t *testing.T) {
			more := mirror{fmt.Sprintf("more%d", n), []string{r.namespace(t, "more")}}
			ns := more.namespaces[0]
			for _, name := range raced {
				r.apply(t, configMap(ns, name, "1"))
			}
			r.landed(t, ns)

			r.key = keyOf(more.name)
			defer func() { r.key = keyOf("live") }()
			before := len(r.writes)
			r.register(t, stay.at, more)
			stay.what.do(t, r, ns)
			if stay.killed != nobody {
				r.again(r.whole, stay.killed)
			}
			r.goOn(stay.at.last())
			first := r.closed(t, "")
			history := r.landed(t, ns)
			r.settle(t, harness.Scope{Folder: more.name, Namespaces: more.namespaces})
			report(t, harness.Versions(history, r.writes[before:]))
			report(t, harness.Deletions(history, r.writes[before:]))

			r.others.pull(t)
			r.others.remove(t, more.name+"/"+ns+"/configmaps/sentinel.yaml") // so that the run has a result
			r.others.disfigure(t, nil)
			r.others.push(t)
			r.reach(t, stay.goes, first.Run, func() { r.ask(t, stay.reason) })
			r.mirror(t, mirror{"live", nil})
			r.again(r.whole, "watcher")
			r.apply(t, configMap(ns, "later", "1"))
			r.goOn(stay.goes.last())
			r.gone(t)
			r.key = keyOf("live")
			history = r.landed(t, ns)
			r.settle(t, scope())
			report(t, harness.Versions(history, r.writes))
			report(t, harness.Deletions(history, r.writes))
			r.others.check(t, r.world)
		})
	}
}

// register registers one more destination, and brings it to an instant.
func (r *races) register(t *testing.T, at instant, more mirror) {
	t.Helper()
	r.stand(t, "reconciler")
	r.mirror(t, mirror{"live", nil}, more)
	r.again(r.whole, "watcher")
	must(t, harness.Poll(within(t, startLimit), 5*time.Millisecond, "the destination to be registered", func(ctx context.Context) error {
		_, _, err := r.destinations.Newest(ctx, subject.DestinationToken(r.key))
		return err
	}))
	if len(at.there) > 0 {
		r.reach(t, at, "", func() { r.goOn("reconciler") })
	}
}

// gone waits until nothing on the bus names the destination, but what was put aside
// for people: no message, no key and no durable consumer.
func (r *races) gone(t *testing.T) {
	t.Helper()
	nc, err := natsgo.Connect(r.nats)
	must(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(t, err)
	must(t, harness.Poll(within(t, stepLimit), 100*time.Millisecond, "nothing to be left of "+r.key.String(), func(ctx context.Context) error {
		var left []string
		note := func(where string, names ...string) {
			for _, name := range names {
				if slices.Contains(strings.Split(name, "."), r.key.Name) {
					left = append(left, where+" "+name)
				}
			}
		}
		streams := js.StreamNames(ctx)
		for name := range streams.Name() {
			s, err := js.Stream(ctx, name)
			if err != nil {
				return err
			}
			consumers := s.ListConsumers(ctx)
			for c := range consumers.Info() {
				if c.Config.InactiveThreshold > 0 { // that of somebody who was killed: the server removes it
					continue
				}
				note(name+" is read by "+c.Name+" for", append(c.Config.FilterSubjects, c.Config.FilterSubject)...)
			}
			if err := consumers.Err(); err != nil {
				return err
			}
			if strings.HasPrefix(name, "KV_") || name == subject.DLQ { // of a key that was removed a mark stays
				continue
			}
			info, err := s.Info(ctx, jetstream.WithSubjectFilter(">"))
			if err != nil {
				return err
			}
			for s, n := range info.State.Subjects {
				if name == subject.Events && n == 1 { // the MARK that its router's cursor names stays until that moves
					continue
				}
				note(name, s)
			}
		}
		buckets := js.KeyValueStoreNames(ctx)
		for name := range buckets.Name() {
			kv, err := js.KeyValue(ctx, name)
			if err != nil {
				return err
			}
			keys, err := kv.Keys(ctx)
			if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
				return err
			}
			note(name, keys...)
		}
		if err := errors.Join(streams.Err(), buckets.Error()); err != nil {
			return err
		}
		if len(left) > 0 {
			return errors.New("there is " + strings.Join(left, ", "))
		}
		return nil
	}))
}
