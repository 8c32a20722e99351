package webhook

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
)

// shortestSecret is the least length of what is taken for a secret in what a peer says: "on" would be found everywhere.
const shortestSecret = 6

// secrets are what a call carries that nobody may read who sees its log: the token of the handle, and what is masked in actions
// (contract, section 8.9). Many servers answer with the request, or with its URL.
type secrets []string

func secretsOf(c Call, u *url.URL) secrets {
	var s secrets
	s.addQuery(u.RawQuery)
	if handle, err := url.Parse(c.Handle); err == nil {
		s.addQuery(handle.RawQuery)
	}
	if password, ok := u.User.Password(); ok {
		_, escaped, _ := strings.Cut(u.User.String(), ":")
		s.add(password, escaped, base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)))
	}
	for name, value := range c.Webhook.Headers {
		if isSecret(name) {
			_, credentials, _ := strings.Cut(value, " ") // behind Bearer or Basic
			s.add(value, credentials)
		}
	}
	slices.SortFunc(s, func(a, b string) int { return len(b) - len(a) }) // what contains others first
	return s
}

func (s *secrets) addQuery(raw string) {
	for _, one := range strings.FieldsFunc(raw, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(one, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil || isSecret(plain) {
			decoded, _ := url.QueryUnescape(value)
			s.add(value, decoded)
		}
	}
}

func (s *secrets) add(values ...string) {
	for _, value := range values {
		if value = strings.TrimSpace(value); len(value) >= shortestSecret {
			*s = append(*s, value)
		}
	}
}

// isSecret says that a header or parameter of this name holds a secret.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "authorization", "proxy-authorization", "cookie":
		return true
	}
	return strings.Contains(name, "token") || strings.Contains(name, "secret") || strings.Contains(name, "key")
}

// hide masks the secrets in what a peer says.
func (s secrets) hide(said []byte) []byte {
	for _, secret := range s {
		said = bytes.ReplaceAll(said, []byte(secret), []byte("***"))
	}
	return said
}
