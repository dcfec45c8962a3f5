"""Layouts that many instruments and export programs share, by name. None is taken unless it is named."""

from __future__ import annotations

from wellfield.plate.layout import Layout

# Tokens and their numbers; `(?ix)`: letters of either case, blanks and comments of the pattern do not count.
_ROW_COLUMN_FIELD_CHANNEL = r"""(?ix)
    (?: .* [-_\ ] )??                                           # any beginning
    r (?:ow)? [-_\ ]? (?P<row> [0-9]{1,3} )
    [-_\ ]? c (?:ol(?:umn)?)? [-_\ ]? (?P<column> [0-9]{1,3} )
    (?: [-_\ ]? (?: f | fld | field | s | site ) [-_\ ]? (?P<field> [0-9]+ ) )?
    (?: [-_\ ]? (?: z | p | plane ) [-_\ ]? (?P<z> [0-9]+ ) )?
    (?: [-_\ ]? (?: ch | c | channel | w ) [-_\ ]? (?P<channel> [0-9]+ ) )?
    (?: [-_\ ]? (?: t | time | sk ) [-_\ ]? (?P<timepoint> [0-9]+ ) )?
    (?: fk [0-9]+ fl [0-9]+ )?                                  # flim and sequence numbers of Harmony
    \. (?: tiff? | png )
"""

_FOLDER_PER_WELL = r"""(?ix)
    (?: well [-_\ ]? )? (?P<well> [a-z]{1,2} [0-9]{1,3} ) /
    (?: [^/]* (?P=well) [-_\ ] )?                               # a name that repeats the well
    (?: [a-z]+ [-_\ ] )*?                                       # words without numbers
    (?: (?: s | site | f | fld | field | fov ) [-_\ ]? (?P<field> [0-9]+ ) [-_\ /]? )?
    (?: (?: w | c | ch | channel ) [-_\ ]? (?P<channel> [0-9]+ ) [-_\ /]? )?
    (?: z [-_\ ]? (?P<z> [0-9]+ ) [-_\ ]? )?
    (?: (?: t | time ) [-_\ ]? (?P<timepoint> [0-9]+ ) )?
    (?<= [0-9] ) \. (?: tiff? | png )                           # at least one of them
"""

PRESETS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("row_column_field_channel", _ROW_COLUMN_FIELD_CHANNEL),
        Layout("folder_per_well", _FOLDER_PER_WELL),
    )
}
