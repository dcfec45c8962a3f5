"""Layouts that many instruments and export programs share, by name. A plate sheet must name them."""

from __future__ import annotations

from wellfield.plate.filename_layout import Layout

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

# Folders and the file below the well are read in one loop, so that a token may stand in any of them, but not in two:
# `(?(2) (?!) )` fails where group 2 (the field; 3, 4 and 5 likewise) took one already. `\A` is the plate folder, so
# that what is below a well is never another well (t1 is a time, though a plate of 1,536 wells has a T01).
_FOLDER_PER_WELL = r"""(?ix) \A
    (?: (?! (?: well [-_\ ]? )? (?: [a-z] | a[a-f] ) [0-9]{1,3} / ) [^/]+ / )*   # folders that are not wells
    (?: well [-_\ ]? )? (?P<well> (?: [a-z] | a[a-f] ) [0-9]{1,3} )
    (?:
        /
        (?: (?: (?! (?: s | f | w | c | ch | z | t ) [0-9] ) [^/]*? [-_\ ] )?? (?P=well) [-_\ ] )?   # the well again
        (?: [a-z]+ [-_\ ] )*?                                   # words without numbers
        (?: (?(2) (?!) ) (?: s | site | f | fld | field | fov ) [-_\ ]? (?P<field> [0-9]+ ) [-_\ ]? )?
        (?: (?(3) (?!) ) (?: w | c | ch | channel ) [-_\ ]? (?P<channel> [0-9]+ ) [-_\ ]? )?
        (?: (?(4) (?!) ) z [-_\ ]? (?P<z> [0-9]+ ) [-_\ ]? )?
        (?: (?(5) (?!) ) (?: t | time ) [-_\ ]? (?P<timepoint> [0-9]+ ) )?
        (?<= [0-9] )                                            # at least one of them
    )+
    \. (?: tiff? | png )
"""

PRESETS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("row_column_field_channel", _ROW_COLUMN_FIELD_CHANNEL),
        Layout("folder_per_well", _FOLDER_PER_WELL),
    )
}
