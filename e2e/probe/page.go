package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// loadPage loads a page in Chromium so often, each time in a profile of its own, and prints what came: a line for each resource
// with its status, protocol, size and hash, and the final document; or with -times how long each load took. The browser is
// driven by the DevTools protocol through its pipe: https://chromedevtools.github.io/devtools-protocol/.
func loadPage(args []string) error {
	f := flag.NewFlagSet("page", flag.ExitOnError)
	n := f.Int("n", 1, "loads")
	times := f.Bool("times", false, "print the load times alone [ms]")
	f.Parse(args)
	if f.NArg() == 0 {
		return errors.New("page [-n N] [-times] URL [CHROMIUM'S OPTION...]")
	}
	home, err := os.MkdirTemp("", "probe-page-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	b, err := startBrowser(home, append(strings.Fields(os.Getenv("GM_CHROMIUM_FLAGS")), f.Args()[1:]...))
	if err != nil {
		return err
	}
	defer b.end()
	for range *n {
		if err := b.load(f.Arg(0), *times); err != nil {
			return err
		}
	}
	return nil
}

// A browser is a Chromium that runs.
type browser struct {
	*exec.Cmd
	to     *os.File
	from   *bufio.Reader
	events []message // that came while an answer was waited for
	last   int       // id of a command
}

type message struct {
	ID        int             `json:"id"`
	Method    string          `json:"method"`
	SessionID string          `json:"sessionId"`
	Params    json.RawMessage `json:"params"`
	Result    json.RawMessage `json:"result"`
	Error     *struct{ Message string }
}

type object = map[string]any

// limit is how long a load may take.
const limit = time.Minute

func startBrowser(home string, options []string) (*browser, error) {
	in, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	from, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := exec.Command("chromium", append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-extensions", "--remote-debugging-pipe",
		"--user-data-dir=" + home}, options...)...)
	c.Env = append(os.Environ(), "HOME="+home)
	c.ExtraFiles = []*os.File{in, out} // 3 and 4, as it wants them
	if err := c.Start(); err != nil {
		return nil, err
	}
	in.Close()
	out.Close()
	return &browser{Cmd: c, to: to, from: bufio.NewReaderSize(from, 1<<20)}, nil
}

func (b *browser) end() {
	b.call("", "Browser.close", nil, nil)
	b.Wait()
}

// call gives a command, in a session with a page or in none, and reads its result.
func (b *browser) call(session, method string, params object, result any) error {
	b.last++
	m := object{"id": b.last, "method": method}
	if session != "" {
		m["sessionId"] = session
	}
	if params != nil {
		m["params"] = params
	}
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if _, err := b.to.Write(append(line, 0)); err != nil {
		return err
	}
	for {
		m, err := b.read()
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", method, err)
		case m.ID != b.last:
			b.events = append(b.events, m)
			continue
		case m.Error != nil:
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(m.Result, result)
	}
}

func (b *browser) read() (m message, err error) {
	line, err := b.from.ReadBytes(0)
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(bytes.TrimSuffix(line, []byte{0}), &m)
}

// next is the next event.
func (b *browser) next() (m message, err error) {
	if len(b.events) > 0 {
		m, b.events = b.events[0], b.events[1:]
		return m, nil
	}
	return b.read()
}

// A resource is what came of a request.
type resource struct {
	method, url string
	status      int
	protocol    string
	done        bool
	failed      bool
}

// load loads the page once, in a context without anything from before. A page that goes on after its load event says so by
// a promise named done.
func (b *browser) load(url string, times bool) error {
	defer time.AfterFunc(limit, func() { b.Process.Kill() }).Stop()
	var made struct{ BrowserContextID, TargetID, SessionID string }
	err := b.call("", "Target.createBrowserContext", nil, &made)
	if err == nil {
		err = b.call("", "Target.createTarget", object{"url": "about:blank", "browserContextId": made.BrowserContextID}, &made)
	}
	if err == nil {
		err = b.call("", "Target.attachToTarget", object{"targetId": made.TargetID, "flatten": true}, &made)
	}
	session := made.SessionID
	for _, domain := range []string{"Network", "Page"} {
		if err == nil {
			err = b.call(session, domain+".enable", nil, nil)
		}
	}
	if err == nil {
		b.events = nil
		err = b.call(session, "Page.navigate", object{"url": url}, nil)
	}
	if err != nil {
		return err
	}
	all := map[string]*resource{} // by id
	var lines []string
	for loaded, done := false, false; !done || underWay(all) || len(b.events) > 0; {
		if loaded && !done {
			done = true
			if err := b.call(session, "Runtime.evaluate", object{"expression": "Promise.resolve(window.done)", "awaitPromise": true}, nil); err != nil {
				return err
			}
			continue
		}
		m, err := b.next()
		if err != nil {
			return err
		}
		if m.SessionID != session {
			continue
		}
		if err := follow(m, all, &lines); err != nil {
			return err
		}
		loaded = loaded || m.Method == "Page.loadEventFired"
	}
	for id, r := range all {
		line := fmt.Sprintf("%s %s %d %s", r.method, r.url, r.status, r.protocol)
		if r.failed {
			line = fmt.Sprintf("%s %s failed", r.method, r.url)
		} else {
			size, sum, err := b.body(session, id)
			if err != nil {
				return fmt.Errorf("%s: %w", r.url, err)
			}
			line += fmt.Sprintf(" %d bytes %s", size, sum)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	var took, document string
	if err := b.evaluate(session, "String(performance.getEntriesByType('navigation')[0].loadEventStart)", &took); err != nil {
		return err
	}
	if err := b.evaluate(session, "document.documentElement.outerHTML", &document); err != nil {
		return err
	}
	if times {
		fmt.Println(took)
	} else {
		fmt.Printf("%s\n%s\n\f\n", strings.Join(lines, "\n"), document)
	}
	return b.call("", "Target.disposeBrowserContext", object{"browserContextId": made.BrowserContextID}, nil)
}

// underWay says whether a request is under way.
func underWay(all map[string]*resource) bool {
	for _, r := range all {
		if !r.done {
			return true
		}
	}
	return false
}

// follow notes what an event says of a request. Redirections are lines at once: the request goes on by the same id.
func follow(m message, all map[string]*resource, lines *[]string) error {
	type response struct {
		URL, Protocol string
		Status        int
	}
	var e struct {
		RequestID        string
		Request          struct{ URL, Method string }
		RedirectResponse *response
		Response         response
		ErrorText        string
	}
	if !strings.HasPrefix(m.Method, "Network.") {
		return nil
	}
	if err := json.Unmarshal(m.Params, &e); err != nil {
		return fmt.Errorf("%s: %w", m.Method, err)
	}
	if m.Method == "Network.requestWillBeSent" && !strings.HasPrefix(e.Request.URL, "data:") {
		if to := e.RedirectResponse; to != nil {
			*lines = append(*lines, fmt.Sprintf("%s %s %d %s", all[e.RequestID].method, to.URL, to.Status, to.Protocol))
		}
		all[e.RequestID] = &resource{method: e.Request.Method, url: e.Request.URL}
	}
	r := all[e.RequestID]
	if r == nil {
		return nil
	}
	switch m.Method {
	case "Network.responseReceived":
		r.status, r.protocol = e.Response.Status, e.Response.Protocol
	case "Network.loadingFinished":
		r.done = true
	case "Network.loadingFailed":
		r.done, r.failed = true, true
		fmt.Fprintf(os.Stderr, "%s: %s\n", r.url, e.ErrorText)
	}
	return nil
}

// body is a resource's, as its size and hash.
func (b *browser) body(session, id string) (int, string, error) {
	var got struct {
		Body          string
		Base64Encoded bool
	}
	if err := b.call(session, "Network.getResponseBody", object{"requestId": id}, &got); err != nil {
		return 0, "", err
	}
	data := []byte(got.Body)
	if got.Base64Encoded {
		var err error
		if data, err = base64.StdEncoding.DecodeString(got.Body); err != nil {
			return 0, "", err
		}
	}
	return len(data), fmt.Sprintf("%.6x", sha256.Sum256(data)), nil
}

// evaluate gives what an expression in the page is, which must be a string.
func (b *browser) evaluate(session, expression string, to *string) error {
	var got struct{ Result struct{ Value any } }
	if err := b.call(session, "Runtime.evaluate", object{"expression": expression}, &got); err != nil {
		return err
	}
	s, ok := got.Result.Value.(string)
	if !ok {
		return fmt.Errorf("%s is %v", expression, got.Result.Value)
	}
	*to = s
	return nil
}
