package replay

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gomahi/web"
)

// offers are the ports at which an Alt-Svc header (RFC 7838) offers HTTP/3 at the origin's own name.
func offers(altSvc string) (ports []uint16) {
	for alternative := range strings.SplitSeq(altSvc, ",") {
		service, _, _ := strings.Cut(alternative, ";")
		protocol, authority, _ := strings.Cut(strings.TrimSpace(service), "=")
		port, own := strings.CutPrefix(strings.Trim(authority, `"`), ":")
		if n, err := strconv.ParseUint(port, 10, 16); own && protocol == "h3" && err == nil {
			ports = append(ports, uint16(n))
		}
	}
	return ports
}

// dated are the headers with a date that move with Date; Last-Modified moves once, so that it stays what a client was
// told.
var dated = []string{"Date", "Expires"}

// shift moves the dates of a response, recorded at then, as if it were made now. Those that are no date stay, and all if
// nobody knows when it was made.
func shift(h http.Header, then, start, now time.Time) {
	if then.IsZero() {
		return
	}
	move := func(name string, by time.Duration, moved func(string, time.Duration) string) {
		if len(h[name]) > 0 {
			h[name] = slices.Clone(h[name]) // the values are not this answer's alone
		}
		for i, v := range h[name] {
			h[name][i] = moved(v, by)
		}
	}
	for _, name := range dated {
		move(name, now.Sub(then), moved)
	}
	move("Last-Modified", start.Sub(then), moved)
	move("Set-Cookie", now.Sub(then), movedCookie)
}

func moved(date string, by time.Duration) string {
	t, err := http.ParseTime(date)
	if err != nil || t.Add(by).Year() > 9999 { // the format has no digits for it, and it means never
		return date
	}
	return t.Add(by).UTC().Format(http.TimeFormat)
}

// cookieDates are the formats of a cookie's Expires that are seen.
var cookieDates = []string{http.TimeFormat, "Mon, 02-Jan-2006 15:04:05 MST", "Mon, 02-Jan-06 15:04:05 MST", time.ANSIC,
	time.RFC850, time.RFC1123Z, time.RFC1123}

// movedCookie moves the Expires of a Set-Cookie header, unless it is one that deletes the cookie.
func movedCookie(cookie string, by time.Duration) string {
	parts := strings.Split(cookie, ";")
	for i, p := range parts[1:] {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "expires") {
			continue
		}
		for _, layout := range cookieDates {
			if t, err := time.Parse(layout, strings.TrimSpace(value)); err == nil {
				later := t.Add(by)
				text := later.Format(layout) // in the zone that it was in
				again, err := time.Parse(layout, text)
				if t.Year() > 2000 && err == nil && again.Year() == later.Year() { // else the year has too few digits
					parts[i+1] = name + "=" + text
				}
				break
			}
		}
	}
	return strings.Join(parts, ";")
}

// made is when a response was, as it says itself, else as the recorder does; the zero time if neither does.
func made(x *web.Exchange) time.Time {
	if t, err := http.ParseTime(x.Response.Get("Date")); err == nil {
		return t
	}
	return x.Start
}

// hop are the headers that are about a connection, which the servers make themselves (RFC 9110, 7.6.1).
var hop = map[string]bool{"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Transfer-Encoding": true,
	"Upgrade": true}
