package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"gomahi/internal/graph"
)

// draw reads the logs, prints their figures and writes the graph.
func (o *options) draw(stdin io.Reader, stdout, stderr io.Writer) error {
	logs := make([]*graph.Log, len(o.logs))
	figures := make([]graph.Figures, len(o.logs))
	for i, path := range o.logs {
		var err error
		if logs[i], err = o.read(path, stdin); err != nil {
			return err
		}
		figures[i] = logs[i].Figures()
	}
	if o.JSON {
		e := json.NewEncoder(stdout)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(figures); err != nil {
			return fmt.Errorf("writing the figures: %w", err)
		}
	} else {
		o.say(stderr, figures)
	}
	if !o.draws() {
		return nil
	}
	picture := graph.Throughput
	if o.delay {
		picture = graph.Delay
	}
	var b bytes.Buffer // a file is written whole or not at all
	if err := picture(logs).Write(&b, o.format); err != nil {
		return fmt.Errorf("drawing: %w", err)
	}
	if o.Output != "" {
		if err := os.WriteFile(o.Output, b.Bytes(), 0o666); err != nil {
			return fmt.Errorf("writing the graph: %w", err)
		}
		return nil
	}
	if _, err := stdout.Write(b.Bytes()); err != nil {
		return fmt.Errorf("writing the graph: %w", err)
	}
	return nil
}

// say writes figures for people. Of several logs each begins with its name.
func (o *options) say(w io.Writer, figures []graph.Figures) {
	for _, f := range figures {
		if len(figures) > 1 {
			fmt.Fprintf(w, "%s:\n", f.File)
		}
		if o.delay {
			f.Percentiles(w)
		} else {
			f.Throughputs(w)
		}
	}
}

func (o *options) read(path string, stdin io.Reader) (*graph.Log, error) {
	if path == "-" {
		return graph.Read("standard input", stdin, o.perBin)
	}
	f, err := os.Open(path)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = fmt.Errorf("%s: %w", path, p.Err)
		}
		return nil, fmt.Errorf("%w\nhint: name logs that gm-link or mm-link wrote, with --uplink-log or --downlink-log", err)
	}
	defer f.Close()
	return graph.Read(path, f, o.perBin)
}
