package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// The stages that send letters: the roles.
const (
	StageWatcher    = "watcher"
	StageRouter     = "router"
	StageStream     = "stream"
	StageReconciler = "reconciler"
	StageGitWriter  = "git-writer"
)

// Stages are all of them.
func Stages() []string {
	return []string{StageWatcher, StageRouter, StageStream, StageReconciler, StageGitWriter}
}

// The headers of a letter beside those that its message had.
const (
	headerLetterReason   = event.HeaderLetterPrefix + "Reason"
	headerLetterAttempts = event.HeaderLetterPrefix + "Attempts"
	headerLetterSubject  = event.HeaderLetterPrefix + "Subject"
)

// Letter is a message that a stage could not process, as it is kept in KS_DLQ.
type Letter struct {
	ID    uint64    // its sequence in KS_DLQ: no other letter ever has it; 0 until it is kept
	When  time.Time // it was kept
	Stage string    // who could not process it; "" where what stands in KS_DLQ is no letter of ours
	// Destination is whose it is. It has no namespace and name where a stage comes before
	// destinations.
	Destination event.DestinationKey
	Stream      string // what Message was read from; of the watcher, the type of the object
	Reason      string
	Attempts    uint64 // how often it was tried
	// Message is the message with its subject and sequence, without the server's instructions:
	// those were carried out. Of the watcher, the sequence is the version of the object.
	Message Message
}

// output is the letter as it is stored: its stage, whose it is and its position are the subject,
// and so one message has one letter of a stage.
func (l Letter) output() Output {
	h := event.Header{}
	for name, v := range l.Message.Header {
		if !strings.HasPrefix(name, "Nats-") && !strings.HasPrefix(name, event.HeaderLetterPrefix) {
			h[name] = v
		}
	}
	h[headerLetterReason] = []string{event.Escape(l.Reason)}
	h[headerLetterAttempts] = []string{strconv.FormatUint(l.Attempts, 10)}
	h[headerLetterSubject] = []string{event.Escape(l.Message.Subject)}
	return Output{Subject: subject.DeadLetter(l.Stage, l.Destination, l.Stream, l.Message.Seq), Header: h, Data: l.Message.Data}
}

// parseLetter is the reverse of output. What anybody else has put into KS_DLQ is a letter
// without a stage, so that it can be seen, and dropped.
func parseLetter(m Message) Letter {
	l := Letter{ID: m.Seq, When: m.Time, Message: Message{Header: event.Header{}, Data: m.Data}}
	own := map[string]string{}
	for name, v := range m.Header {
		switch {
		case strings.HasPrefix(name, event.HeaderLetterPrefix) && len(v) > 0:
			own[name] = event.Unescape(v[0])
		case !strings.HasPrefix(name, "Nats-"):
			l.Message.Header[name] = v
		}
	}
	var err1, err2 error
	l.Stage, l.Destination, l.Stream, l.Message.Seq, err1 = subject.ParseDeadLetter(m.Subject)
	l.Attempts, err2 = strconv.ParseUint(own[headerLetterAttempts], 10, 64)
	l.Reason, l.Message.Subject = own[headerLetterReason], own[headerLetterSubject]
	if errors.Join(err1, err2) != nil {
		return Letter{ID: l.ID, When: l.When, Reason: "it is no letter that kubescribe has written", Message: m}
	}
	return l
}

// Letters are the letters that stand in KS_DLQ, in the order in which they were kept. An error is
// the last thing it yields.
func (b *Bus) Letters(ctx context.Context) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		for m, err := range b.Range(ctx, subject.DLQ, subject.AllDLQ, 1, ^uint64(0)) {
			if err != nil {
				yield(Letter{}, err)
				return
			}
			if !yield(parseLetter(m), nil) {
				return
			}
		}
	}
}

// Letter is one of them; ErrNoMessage if there is none.
func (b *Bus) Letter(ctx context.Context, id uint64) (Letter, error) {
	m, err := b.MessageAt(ctx, subject.DLQ, id)
	if err != nil {
		return Letter{}, err
	}
	return parseLetter(m), nil
}

// DropLetter removes one, and no other: the same message dead-lettered again has another ID.
// Where it is gone, there is nothing to do. It is durable once it returns.
func (b *Bus) DropLetter(ctx context.Context, id uint64) error {
	s, err := b.js.Stream(impatient{ctx}, subject.DLQ)
	if err == nil {
		err = s.DeleteMsg(impatient{ctx}, id)
	}
	if err == nil {
		return nil
	}
	if _, gone := b.Letter(ctx, id); errors.Is(gone, ErrNoMessage) {
		return nil
	}
	return fmt.Errorf("dropping letter %d: %w", id, err)
}

// CountLetters is how many letters stand in KS_DLQ of each stage; "": of none of ours.
func (b *Bus) CountLetters(ctx context.Context) (map[string]int, error) {
	s, err := b.js.Stream(impatient{ctx}, subject.DLQ)
	if err != nil {
		return nil, fmt.Errorf("counting letters: %w", err)
	}
	info, err := s.Info(impatient{ctx}, jetstream.WithSubjectFilter(subject.AllDLQ))
	if err != nil {
		return nil, fmt.Errorf("counting letters: %w", err)
	}
	counts := map[string]int{}
	for subj, n := range info.State.Subjects {
		stage, _, _, _, _ := subject.ParseDeadLetter(subj) //nolint:dogsled // what does not parse is of no stage
		counts[stage] += int(n)
	}
	return counts, nil
}
