// Cutting text: what was pasted into texts, and a text that is too long into parts. Pure.
const WIDE = /[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]/gu;

// As console/task_shape.py counts; only the node knows better.
export function tokens(text) {
  const wide = text.match(WIDE)?.length ?? 0;
  return wide + Math.ceil((text.length - wide) / 3);
}

export function pasted(text, how) {
  const plain = text.replace(/\r\n?/g, "\n");
  const pieces = how === "line" ? plain.split("\n") : how === "blank" ? plain.split(/\n[ \t]*\n/) : [plain];
  return pieces.map((piece) => piece.trim()).filter(Boolean);
}

// Parts that fit, cut between paragraphs where that is possible, then lines, sentences, letters.
export function parts(text, room) {
  const most = Math.max(Math.floor(room * 0.9), 32);
  const found = [];
  let open = "";
  for (const piece of pieces(text, most)) {
    if (open && tokens(open + piece) > most) {
      found.push(open.trim());
      open = "";
    }
    open += piece;
  }
  if (open.trim()) found.push(open.trim());
  return found;
}

const CUTS = [/(?<=\n[ \t]*\n)/, /(?<=\n)/, /(?<=[.!?。！？；;])/, /(?<=[\s，,、])/];

function pieces(text, most, level = 0) {
  if (tokens(text) <= most) return [text];
  if (level === CUTS.length) return slices(text, most);
  return text.split(CUTS[level]).flatMap((piece) => pieces(piece, most, level + 1));
}

function slices(text, most) {
  // A letter is a token at most, as we count; a pair of surrogates is one letter.
  const letters = [...text];
  const found = [];
  for (let at = 0; at < letters.length; at += most) found.push(letters.slice(at, at + most).join(""));
  return found;
}
