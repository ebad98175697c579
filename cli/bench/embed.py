#!/usr/bin/python3
"""Writes a C file with the bytes of files in it, each ended by a NUL: embed.py OUT NAME=FILE..."""
import sys

with open(sys.argv[1], "w", encoding="ascii") as out:
    for argument in sys.argv[2:]:
        name, path = argument.split("=", 1)
        with open(path, "rb") as f:
            data = f.read()
        if b"</script" in data.lower() and path.endswith(".js"):
            sys.exit(f"{path}: would end the page's script")
        out.write(f"extern const unsigned char {name}[];\nconst unsigned char {name}[] = {{\n")
        for at in range(0, len(data), 24):
            out.write(",".join(map(str, data[at:at + 24])) + ",\n")
        out.write("0};\n")
