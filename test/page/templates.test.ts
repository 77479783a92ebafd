/**
 * The templates of the page, read from its sources: htm drops a blank that stands at a line break, and prettier breaks
 * lines where HTML would not mind.
 */
import {readFileSync, readdirSync} from 'node:fs';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import ts from 'typescript';

const folder = fileURLToPath(new URL('../../../src/page/', import.meta.url));

/** Stands for `${…}` while a template is read. */
const value = '\u0001';
/** What stands on its own line anyway, or in a row whose gaps the style sheet makes. */
const block = new RegExp(
	`^</?(?:article|aside|button|caption|d[dlt]|details|dialog|div|f|form|h[1-6]|header|input|label|li|main|nav|ol|option|p|pre|section|select|summary|table|tbody|td|textarea|th|thead|tr|ul|/|${value})`,
);

interface Token {
	readonly kind: 'text' | 'tag' | 'value';
	readonly text: string;
}

function tokensOf(template: string): readonly Token[] {
	return [...template.matchAll(/<[^>]*>|\u0001|[^<\u0001]+/g)].map(([text]) => ({
		kind: text === value ? 'value' : text.startsWith('<') ? 'tag' : 'text',
		text,
	}));
}

/** Words that touch what stands before or behind them once htm is through. */
function lostBlanks(template: string): readonly string[] {
	const tokens = tokensOf(template);
	const isInline = (token: Token | undefined): boolean =>
		token !== undefined && (token.kind === 'value' || !block.test(token.text) || /^<\/?\u0001/.test(token.text));
	return tokens.flatMap(({kind, text}, at) => {
		const begins = /^\s*\n/.test(text) && isInline(tokens[at - 1]);
		const ends = /\n\s*$/.test(text) && isInline(tokens[at + 1]);
		return kind === 'text' && text.trim() !== '' && (begins || ends) ? [text.trim()] : [];
	});
}

test('no blank of a sentence is lost at the end of a line', t => {
	const lost: string[] = [];
	for (const file of readdirSync(folder).filter(name => name.endsWith('.ts'))) {
		const tree = ts.createSourceFile(file, readFileSync(path.join(folder, file), 'utf8'), ts.ScriptTarget.Latest, true);
		const visit = (node: ts.Node): void => {
			if (ts.isTaggedTemplateExpression(node) && node.tag.getText() === 'html') {
				const {template} = node;
				const text = ts.isNoSubstitutionTemplateLiteral(template)
					? template.text
					: [template.head.text, ...template.templateSpans.map(({literal}) => literal.text)].join(value);
				lost.push(...lostBlanks(text).map(words => `${file}: ${words}`));
			}
			ts.forEachChild(node, visit);
		};
		visit(tree);
	}
	t.deepEqual(lost, []);
});

test('the reader of templates finds what is lost, and nothing else', t => {
	t.deepEqual(lostBlanks(`<p>${value} of\n\t${value}</p>`), ['of']);
	t.deepEqual(lostBlanks(`<p>one\n<b>two</b></p>`), ['one']);
	t.deepEqual(lostBlanks(`<p>\n\tone two\n\tthree\n</p>`), []);
	t.deepEqual(lostBlanks(`<p>${value} of ${value}</p>\n<p>x</p>`), []);
});
