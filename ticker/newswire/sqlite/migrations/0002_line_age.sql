-- An index of lines by age, so that trimming finds nothing without a search.
CREATE INDEX line_age ON line (channel, updated);
