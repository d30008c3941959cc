package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// Request is one that the API server was asked, as its audit log tells of it.
type Request struct {
	Verb       string
	UserAgent  string
	RequestURI string
	ObjectRef  struct{ APIGroup, Resource, Namespace string }
}

// OfKubescribe reports whether kubescribe has asked it.
func (r Request) OfKubescribe() bool { return strings.Contains(r.UserAgent, "kubescribe") }

// AuditLength is how many bytes the audit log has.
func (c *ControlPlane) AuditLength() (int64, error) {
	info, err := os.Stat(c.AuditLog())
	if err != nil {
		return 0, fmt.Errorf("reading the audit log: %w", err)
	}
	return info.Size(), nil
}

// Audited are the requests that have ended since the audit log had so many bytes.
func (c *ControlPlane) Audited(since int64) ([]Request, error) {
	log, err := os.ReadFile(c.AuditLog())
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	var requests []Request
	for line := range bytes.Lines(log[min(since, int64(len(log))):]) {
		var r Request
		if json.Unmarshal(line, &r) == nil { // what is being written is no line yet
			requests = append(requests, r)
		}
	}
	return requests, nil
}
