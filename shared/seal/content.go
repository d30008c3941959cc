package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// Content is a sensitive object on its way into Git. With its manifest is sealed whose it is and
// who may read it there: whoever may write to the bus can have it encrypted to nobody else, nor
// put it in another's place.
type Content struct {
	Object     string   `json:"object"`     // cluster/group/resource/namespace/name
	Mark       string   `json:"mark"`       // of the manifest: see shared/secretmark
	Recipients []string `json:"recipients"` // public keys, to which the file is encrypted
	Fields     []string `json:"fields"`     // whose values are encrypted
	Manifest   []byte   `json:"-"`          // canonical, in clear; behind a line of the others
}

// maxContent bounds what is opened: more than a message of the bus holds.
const maxContent = 16 << 20

// SealContent makes of a content what only the recipient can read. It differs each time.
func SealContent(to *Recipient, c Content) ([]byte, error) {
	head, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to.key)
	if err == nil {
		_, err = w.Write(append(head, '\n'))
	}
	if err == nil {
		_, err = w.Write(c.Manifest)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return sealed.Bytes(), nil
}

// OpenContent reads what was sealed of an object. What was sealed of another one is
// ErrOtherObject.
func (ids Identities) OpenContent(sealed []byte, object string) (c Content, err error) {
	r, err := ids.decrypt(sealed)
	if err != nil {
		return Content{}, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxContent+1))
	head, body, ok := bytes.Cut(plain, []byte("\n"))
	if err != nil || !ok || len(plain) > maxContent || json.Unmarshal(head, &c) != nil {
		clear(plain)
		return Content{}, ErrDamaged
	}
	if c.Object != object {
		clear(plain)
		return Content{}, ErrOtherObject
	}
	c.Manifest = body
	return c, nil
}
