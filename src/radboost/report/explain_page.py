"""The page of an explanation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from radboost.pipeline.explain.explain import Explanation, UnitTold
from radboost.pipeline.explain.frames import Frame
from radboost.pipeline.explain.sanity import Game, Sanity
from radboost.pipeline.explain.where import MAP, CropMap
from radboost.pipeline.explain.why import Why
from radboost.report.explain_figures import block_name, map_drawing, shares_drawing
from radboost.report.page import Facts, Figure, Item, Note, Number, Page, Section, Table, isolate

__all__ = ["explain_page"]

HASH = 12
NOTHING = 5e-4
"""Shares and effects below it are nothing in the three digits that are shown."""
METHODS = {MAP: "positions left out of the pooling", "occlusion": "pixels covered"}


def explain_page(found: Explanation) -> Page:
    """Make the page; units by their hashes, frames because they were asked for."""
    question = found.question
    items: list[Item] = [
        Note(
            "Frames are shown as they are stored. Names, dates or numbers that a machine burned into the picture are "
            "shown with them: look before you pass this page on.",
            warning=True,
        )
    ]
    items += [Note(note) for note in found.notes]
    items.append(_overview(found))
    items += [_unit(unit, found, number) for number, unit in enumerate(found.units, start=1)]
    if found.sanity is not None:
        items.append(_sanity(found.sanity))
    items.append(Section("How to read this", tuple(_reading(found))))
    return Page(
        f"Why {isolate(question.target)} = {isolate(question.label)}",
        "Where in the images, from which features, and like which training exams?",
        tuple(items),
        facts=tuple(_made_from(found)),
        data=_data(found),
    )


def _overview(found: Explanation) -> Table:
    rows = [
        (
            unit.unit[:HASH],
            unit.label or "unlabelled",
            Number(unit.p),
            Number(_top(unit), signed=True) if unit.maps else None,
            _loudest(unit.why),
        )
        for unit in found.units
    ]
    columns = ("unit", "label", "probability", "largest effect of a window (nats)", "largest share")
    return Table("units", "The units that are explained, and what speaks loudest in each.", columns, rows)


def _loudest(why: Why) -> str | None:
    """Name the block of the largest share; None where no share is more than nothing as it is written."""
    heard = bool(why.blocks) and abs(why.shares[0]) >= NOTHING
    return block_name(why.blocks[0], why) if heard else None


def _unit(unit: UnitTold, found: Explanation, number: int) -> Section:
    items: list[Item] = [Facts(tuple(_facts(unit)))]
    if unit.maps:
        items.append(
            Section("Where", tuple(_where(unit, number)), "What is lost when a window of the crop is missing.")
        )
    items.append(Section("Why", tuple(_why(unit, number)), "What each block of features adds to the base."))
    if unit.alike:
        items.append(_alike(unit, number))
    return Section(f"Unit {unit.unit[:HASH]}: {unit.p:.3f}", tuple(items))


def _facts(unit: UnitTold) -> Iterator[tuple[str, Any]]:
    yield "probability", Number(unit.p)
    yield "label", unit.label or "unlabelled"
    yield "explained by", "all fold models" if unit.folds is None else f"the models of fold {unit.folds[0]}"


def _where(unit: UnitTold, number: int) -> Iterator[Item]:
    top = max(1e-6, max(float(np.abs(m.drawn).max()) for m in unit.maps))
    for count, found in enumerate(unit.maps, start=1):
        frame = unit.frames.get(found.crop_id)
        if frame is None:
            yield Note(f"The frame of crop {found.crop_id[:HASH]} could not be read.", warning=True)
            continue
        x, y = found.hottest
        most, least = float(found.drawn.max()), float(found.drawn.min())
        place = f"column {x:.0f}, row {y:.0f}" + (
            "" if frame.spacing is None else f" ({x * frame.spacing[1]:.0f} mm, {y * frame.spacing[0]:.0f} mm)"
        )
        scale = "" if frame.spacing else " The file gives no pixel spacing, so there is no scale in millimetres."
        scale += _resolution(frame)
        said = (
            f"without the window at the cross ({place}) the log odds fall by {most:.2f} nats; windows in blue speak "
            f"against the class (down to {least:.2f})."
        )
        if max(most, -least) < NOTHING:
            said = "no window moves the log odds. What carries weight does not look at it."
        yield Figure(
            f"unit-{number}-map-{count}",
            f"{isolate(found.slot)}, {METHODS[found.method]}: {said}{scale}",
            f"Frame seen as {isolate(found.slot)} under a map; its highest point lies at {place}.",
            map_drawing(frame, found, top),
        )


def _resolution(frame: Frame) -> str:
    """Say how much of the frame's pixels is shown."""
    rows, columns = frame.shape
    if frame.shown.shape == frame.shape:
        return f" The frame is shown in its full resolution, {columns:,} by {rows:,} pixels."
    shown = f"{frame.shown.shape[1]:,} by {frame.shown.shape[0]:,}"
    return f" The frame, {columns:,} by {rows:,} pixels, is shown with {shown}; --frame-pixels 0 shows all."


def _why(unit: UnitTold, number: int) -> Iterator[Item]:
    why = unit.why
    told = "log odds (nats)" if why.space == "logit" else "probability"
    first = _loudest(why)
    if first is None:
        yield Note("No block has a share: whatever is known of the unit, it is predicted what the base is.")
    else:
        caption = f"{isolate(first)} has the largest share, {why.shares[0]:+.3f} in {told}."
        alt = "Bars of the shares of blocks, largest first; the table below has the numbers."
        yield Figure(f"unit-{number}-shares", caption, alt, shares_drawing(why), wide=True)
    reached = float(np.log(why.p / (1 - why.p))) if why.space == "logit" and 0 < why.p < 1 else why.p
    rows: list[tuple[Any, ...]] = [("base: nothing known", Number(why.base, digits=4))]
    rows += [
        (block_name(b, why), Number(s, digits=4, signed=True)) for b, s in zip(why.blocks, why.shares, strict=True)
    ]
    rows.append(("calibration and constraints", Number(why.after, digits=4, signed=True)))
    rows.append(("predicted", Number(reached, digits=4)))
    caption = f"Shares in {told}; base, shares and what comes after the mixing add up to the prediction."
    yield Table(f"unit-{number}-shares-table", caption, ("block", "share"), rows)
    members = [(m.name, Number(m.weight), Number(m.p), m.how) for m in why.members]
    note = "The blend's members that carry weight, and how each was asked."
    yield Table(f"unit-{number}-members", note, ("member", "weight", "its probability", "asked by"), members)


def _alike(unit: UnitTold, number: int) -> Section:
    rows = [(near.unit[:HASH], near.label or "unlabelled", Number(near.distance, digits=2)) for near in unit.alike]
    same = sum(near.label == unit.label for near in unit.alike)
    tail = f" {same} of {len(unit.alike)} have this unit's label." if unit.label else ""
    caption = f"Nearest in the columns that the models read; 1 is the usual distance of two training units.{tail}"
    table = Table(f"unit-{number}-alike", caption, ("training unit", "label", "distance"), rows)
    return Section("Alike", (table,), "Training units of other patients, hashed as in the store.")


def _sanity(sanity: Sanity) -> Section:
    rows = [
        (
            METHODS[game.method],
            game.weights,
            game.hits,
            game.units,
            Number(game.hits / game.units, game.low, game.high),
            Number(game.chance),
            "yes" if game.points else "no",
        )
        for game in sanity.games
    ]
    columns = ("map", "weights", "hits", "units", "hit rate", "lesions' share of the tissue", "at least twice chance")
    caption = (
        "True positives whose hottest point lies in a planted lesion, with exact 95 % intervals. A map tells of the "
        "model only where the lower bound is at least twice the share with the weights as they are, and not with "
        "shuffled ones."
    )
    lead = (
        f"Pointing game on {sanity.games[0].units} true positives (probability {sanity.threshold:.3f} or more, one "
        f"unit a patient) of {sanity.positives} units with a planted lesion."
    )
    verdict = [Note(_verdict(sanity.games, method)) for method in dict.fromkeys(g.method for g in sanity.games)]
    return Section("Sanity check", (Table("sanity", caption, columns, rows), *verdict), lead)


def _verdict(games: tuple[Game, ...], method: str) -> str:
    learnt, shuffled = (game for game in games if game.method == method)
    name = METHODS[method].capitalize()
    if learnt.points and not shuffled.points:
        return f"{name}: the map points at lesions, and only with what the network learnt. It may be read."
    if learnt.points:
        return (
            f"{name}: the map points at lesions with shuffled weights too: it tells of the picture, not of the model."
        )
    return f"{name}: the map does not point at lesions beyond doubt. It is not to be read as where the model looks."


def _reading(found: Explanation) -> Iterator[Note]:
    if found.where is not None:
        yield Note(
            "Maps: each window is taken out, and the changed crop goes through the whole system anew: network, "
            "pooling, columns, every member, the blend. The colour is what the log odds of the unit lose, at the "
            "window's centre. Covered pixels show the network a picture that no machine makes; positions of the last "
            "map each see far more of the crop than their window. Windows that matter only together may show nothing "
            "one by one."
        )
    yield Note(
        "Shares: TreeSHAP values of the boosters' own libraries, and terms of linear models, add up in each model's "
        "margin. They are taken to probabilities along the straight line from the base to the margin, summed over "
        "seeds, folds and members by weight, and add up there. Members marked as hidden in turn were asked by hiding "
        "blocks in sixteen orders. Views within one set of principal components are told apart by hiding them one by "
        "one."
    )
    yield Note(
        "None of this is a cause. A map says what this model needs, not what a finding is; a share says what it used, "
        "not what would change if the patient's age were another."
    )


def _made_from(found: Explanation) -> Iterator[tuple[str, Any]]:
    yield found.system.kind, found.system.folder.name
    yield "task", found.system.task.name
    yield "class", f"{found.question.target} = {found.question.label}"
    for store in found.system.stores:
        config = store["config"]
        yield "backbone", f"{config['backbone']['name']}, {', '.join(config['backbone']['pool'])}"
        yield "store", store["fingerprint_hash"][:HASH]
    if found.where is not None:
        yield "window", f"{found.where.window:.4g} of the crop, step {found.where.step:.4g} of the window"
        yield "covered with", found.where.fill


def _data(found: Explanation) -> dict[str, Any]:
    units = [
        {
            "unit": unit.unit,
            "p": unit.p,
            "space": unit.why.space,
            "base": unit.why.base,
            "shares": [[*block, share] for block, share in zip(unit.why.blocks, unit.why.shares, strict=True)],
            "after": unit.why.after,
            "maps": [_map(m) for m in unit.maps],
            "alike": [[near.unit, near.label, near.distance] for near in unit.alike],
        }
        for unit in found.units
    ]
    games = [] if found.sanity is None else [vars(game) | {"points": game.points} for game in found.sanity.games]
    return {"target": found.question.target, "class": found.question.label, "units": units, "sanity": games}


def _map(found: CropMap) -> dict[str, Any]:
    x, y = found.hottest
    return {
        "crop": found.crop_id,
        "slot": found.slot,
        "method": found.method,
        "store": found.store,
        "hottest": [x, y],
        "effect": float(found.effects.max()),
    }


def _top(unit: UnitTold) -> float:
    return max(float(found.effects.max()) for found in unit.maps)
