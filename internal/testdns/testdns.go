// Package testdns is a DNS server for tests, which may change its mind.
package testdns

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Server answers queries for addresses.
type Server struct {
	socket net.PacketConn
	answer func(name string, asked int) []string

	mutex sync.Mutex
	asked map[string]int
}

// Start starts a server that is stopped at the end of the test. answer returns the addresses of a name, which has no dot at
// its end and is lower-case; asked is how often IPv4 addresses of it have been asked for before. A name without addresses
// does not exist.
func Start(t testing.TB, answer func(name string, asked int) []string) *Server {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{socket: socket, answer: answer, asked: map[string]int{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve()
	}()
	t.Cleanup(func() {
		_ = socket.Close()
		<-done
	})
	return s
}

// Resolver asks this server and no other.
func (s *Server) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", s.socket.LocalAddr().String())
	}}
}

// Asked is how often IPv4 addresses of a name have been asked for.
func (s *Server) Asked(name string) int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.asked[name]
}

func (s *Server) serve() {
	packet := make([]byte, 1500)
	for {
		n, from, err := s.socket.ReadFrom(packet)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(packet[:n]) != nil || len(query.Questions) != 1 {
			continue
		}
		if reply, err := s.reply(query); err == nil {
			_, _ = s.socket.WriteTo(reply, from)
		}
	}
}

func (s *Server) reply(query dnsmessage.Message) ([]byte, error) {
	question := query.Questions[0]
	name := strings.ToLower(strings.TrimSuffix(question.Name.String(), "."))
	s.mutex.Lock()
	asked := s.asked[name]
	if question.Type == dnsmessage.TypeA {
		s.asked[name]++
	} else if asked > 0 {
		asked-- // a resolver asks for both families, in any order
	}
	s.mutex.Unlock()
	addrs := s.answer(name, asked)
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true},
		Questions: query.Questions,
	}
	if len(addrs) == 0 {
		reply.RCode = dnsmessage.RCodeNameError
	}
	for _, text := range addrs {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return nil, err
		}
		header := dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: dnsmessage.ClassINET, TTL: 1}
		switch {
		case addr.Is4() && question.Type == dnsmessage.TypeA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && question.Type == dnsmessage.TypeAAAA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	return reply.Pack()
}
